import { expect, it } from 'vitest'
import type { ObjectStore } from '../object-store/object-store.js'
import { sameBytes } from './blob-fixtures.js'
import { CONTENT, KEY, listed } from './object-fixtures.js'
import { randomBytes } from './random.js'

const HUNDRED = Array.from({ length: 100 }, (_, index) => index)

async function all<T>(work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(HUNDRED.map(work))
}

function content(index: number): Uint8Array {
  return randomBytes(index * 997, index)
}

interface Promised {
  readonly atomicPutIfAbsent: boolean
  readonly atomicReplace: boolean
}

/** Every call, a hundred times at once. */
export function objectConcurrencyCases(
  store: () => ObjectStore,
  { atomicPutIfAbsent, atomicReplace }: Promised,
): void {
  it('puts and reads different objects', async () => {
    await all((index) => store().put(`many/${index % 7}/${index}`, content(index)))
    const metas = await all((index) => store().head(`many/${index % 7}/${index}`))
    expect(metas.map((meta) => meta?.size)).toEqual(HUNDRED.map((index) => index * 997))
    const found = await all((index) => store().get(`many/${index % 7}/${index}`))
    expect(found.every((bytes, index) => sameBytes(bytes, content(index)))).toBe(true)
    const lists = await all((index) => listed(store(), `many/${index % 7}/`))
    expect(lists.map((list) => Object.keys(list).length)).toEqual(
      HUNDRED.map((index) => HUNDRED.filter((other) => other % 7 === index % 7).length),
    )
  })

  it('puts and reads the same object', async () => {
    const ends = await all(async (index) => {
      await store().put(KEY, content(50 + (index % 2)))
      return store().get(KEY)
    })
    // Either of the two, and never a mixture of them.
    const known = [content(50), content(51)]
    const whole = (bytes: Uint8Array | undefined) => known.some((expected) => sameBytes(bytes, expected))
    if (atomicReplace) expect(ends.every(whole)).toBe(true)
    expect(whole(await store().get(KEY))).toBe(true)
  })

  it('deletes different objects', async () => {
    await all((index) => store().put(`many/${index}`, CONTENT))
    await all((index) => (index % 2 ? store().delete(`many/${index}`) : Promise.resolve()))
    expect(Object.keys(await listed(store(), ''))).toHaveLength(50)
  })

  it('puts the same object if absent', async () => {
    const written = await all((index) => store().putIfAbsent(KEY, content(10 + index)))
    const found = await store().get(KEY)
    const winners = HUNDRED.filter((index) => written[index])
    expect(winners.some((index) => sameBytes(found, content(10 + index)))).toBe(true)
    if (atomicPutIfAbsent) expect(winners).toHaveLength(1)
  })

  it('replaces the same object, each time what was there', async ({ skip }) => {
    const one = store()
    const replace = one.replace?.bind(one)
    skip(replace === undefined, 'this store cannot replace under a condition')
    await one.put(KEY, new Uint8Array(0))
    // Each adds a byte of its own: one that another overwrote would be missing at the end.
    await Promise.all(
      HUNDRED.slice(0, 10).map(async (index) => {
        for (;;) {
          const found = (await one.get(KEY))!
          if (await replace!(KEY, found, Uint8Array.of(...found, index))) return
        }
      }),
    )
    expect([...(await one.get(KEY))!].sort((a, b) => a - b)).toEqual(HUNDRED.slice(0, 10))
  })
}
