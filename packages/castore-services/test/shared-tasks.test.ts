import type { ContentResult, Slot, TaskGroup } from '@neve/castore-services/blob/content-threads'
import { SharedTasks } from '@neve/castore-services/blob/content-threads'
import { describe, expect, it } from 'vitest'

const DONE: ContentResult = { length: 1, failure: undefined }
const FAILED: ContentResult = { length: 0, failure: { index: 0, kind: 'missing', detail: 'not stored' } }

/** Slots that are counted, and the keys of the tasks that ran. */
function counted() {
  const ran: string[] = []
  const out = new Set<Slot>()
  const shared = new SharedTasks({
    takeSlot() {
      const slot = { number: ran.length, raw: Buffer.alloc(1), packed: Buffer.alloc(1), waiting: undefined }
      out.add(slot)
      return slot
    },
    giveSlot(slot) {
      expect(out.delete(slot)).toBe(true)
    },
  })
  const take = (group: TaskGroup, key: string, result = DONE) =>
    group.take(key, () => {
      ran.push(key)
      return result
    })
  return { shared, ran, out, take }
}

describe('tasks that are shared', () => {
  it('run once for all who want them at about the same time', async () => {
    const { shared, ran, out, take } = counted()
    const [first, second, other] = [shared.join('a'), shared.join('a'), shared.join('b')]
    const task = take(first, '0')
    expect(take(second, '0')).toBe(task)
    expect(take(other, '0')).not.toBe(task)
    expect(await task.result).toBe(DONE)
    first.give(task)
    second.give(task)
    // It is kept for whoever comes behind.
    const late = shared.join('a')
    const again = take(late, '0')
    expect(again.slot).toBe(task.slot)
    expect(ran).toEqual(['0', '0'])
    late.give(again)
    for (const group of [first, second, late]) group.leave()
    expect(out.size).toBe(1)
    other.leave()
  })

  it('give their slots back at once to who works alone', () => {
    const { shared, out, take } = counted()
    const alone = shared.join('a')
    for (const key of ['0', '1', '2']) {
      alone.give(take(alone, key))
      expect(out.size).toBe(0)
    }
    alone.leave()
  })

  it('are kept up to a number, and run again for who is farther behind', () => {
    const { shared, ran, out, take } = counted()
    const [first, second] = [shared.join('a'), shared.join('a')]
    for (let key = 0; key < 100; key++) first.give(take(first, `${key}`))
    expect(out.size).toBe(16)
    second.give(take(second, '99'))
    expect(ran.length).toBe(100)
    second.give(take(second, '0'))
    expect(ran.length).toBe(101)
    expect(out.size).toBe(16)
    first.leave()
    second.leave()
    expect(out.size).toBe(0)
  })

  it('that failed are told to all who hold them, and tried again by who comes later', async () => {
    const { shared, ran, out, take } = counted()
    const [first, second] = [shared.join('a'), shared.join('a')]
    const [one, two] = [take(first, '0', FAILED), take(second, '0')]
    expect([await one.result, await two.result]).toEqual([FAILED, FAILED])
    first.give(one)
    const better = take(first, '0')
    expect(await better.result).toBe(DONE)
    second.give(two)
    expect(take(second, '0')).toBe(better)
    expect(ran).toEqual(['0', '0'])
    first.give(better)
    second.give(better)
    first.leave()
    second.leave()
    expect(out.size).toBe(0)
  })

  it('reject for all when running them throws', async () => {
    const { shared, out } = counted()
    const [first, second] = [shared.join('a'), shared.join('a')]
    const broken = new Error('a worker thread ended')
    const one = first.take('0', () => Promise.reject(broken))
    const two = second.take('0', () => DONE)
    await expect(one.result).rejects.toBe(broken)
    await expect(two.result).rejects.toBe(broken)
    first.give(one)
    second.give(two)
    expect(out.size).toBe(0)
    first.leave()
    second.leave()
  })
})
