import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { afterEach, expect, it, vi } from 'vitest'
import { temporaryFolder } from './support.js'

const HOUR = 3_600_000
const FIRST = Date.UTC(2026, 0, 1, 10, 59, 30)
const KEYS = [1, 2, 3].map((byte) => Buffer.alloc(20, byte)) as [Buffer, Buffer, Buffer]

afterEach(() => void vi.useRealTimers())

function clockAt(time: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: time })
}

async function storeWithTwo(): Promise<string> {
  const folder = join(temporaryFolder(), 'store')
  await using store = await EmbeddedStore.open(folder)
  const session = store.write()
  for (const key of KEYS.slice(0, 2)) session.put('pathInfos', key, Buffer.from('info'))
  await session.commit()
  return folder
}

it('records what was used when the store is closed, and nothing of what is not there', async () => {
  const folder = await storeWithTwo()
  clockAt(FIRST)
  {
    await using store = await EmbeddedStore.open(folder)
    expect(store.uses.last(KEYS[0])).toBeUndefined()
    store.uses.mark(KEYS[0])
    store.uses.mark(KEYS[2])
  }
  await using store = await EmbeddedStore.open(folder, { readOnly: true })
  expect(KEYS.map((key) => store.uses.last(key))).toEqual([FIRST, undefined, undefined])
  expect(store.count('used')).toBe(1)
})

it('records a key once an hour, whoever has recorded it', async () => {
  const folder = await storeWithTwo()
  await using store = await EmbeddedStore.open(folder)
  await using other = await EmbeddedStore.open(folder)
  clockAt(FIRST)
  store.uses.mark(KEYS[0])
  await store.uses.flush()
  clockAt(FIRST + 10_000)
  store.uses.mark(KEYS[0])
  other.uses.mark(KEYS[0])
  await Promise.all([store.uses.flush(), other.uses.flush()])
  other.refresh()
  expect(other.uses.last(KEYS[0])).toBe(FIRST)
  clockAt(FIRST + HOUR)
  store.uses.mark(KEYS[0])
  await store.uses.flush()
  other.refresh()
  expect(other.uses.last(KEYS[0])).toBe(FIRST + HOUR)
})

it('records nothing where the store is open for reading, but tells who wants to know', async () => {
  const folder = await storeWithTwo()
  const told: string[] = []
  {
    await using reader = await EmbeddedStore.open(folder, { readOnly: true })
    reader.uses.mark(KEYS[0])
    await reader.uses.flush()
    await using telling = await EmbeddedStore.open(folder, {
      readOnly: true,
      onUse: (key) => told.push(Buffer.from(key).toString('hex')),
    })
    for (const key of [KEYS[0], KEYS[1], KEYS[0]]) telling.uses.mark(key)
  }
  expect(told).toEqual([KEYS[0].toString('hex'), KEYS[1].toString('hex')])
  await using store = await EmbeddedStore.open(folder)
  expect(store.count('used')).toBe(0)
})

it('records thousands without being told to, in the background', async () => {
  const folder = join(temporaryFolder(), 'store')
  await using store = await EmbeddedStore.open(folder)
  const session = store.write()
  const keys = Array.from({ length: 2500 }, (_, i) => {
    const key = Buffer.alloc(20)
    key.writeUInt32BE(i)
    return key
  })
  for (const key of keys) session.put('pathInfos', key, Buffer.from('info'))
  await session.commit()
  for (const key of keys) store.uses.mark(key)
  await vi.waitFor(() => expect(store.count('used')).toBeGreaterThanOrEqual(2000), { timeout: 20_000 })
  await store.uses.flush()
  expect(store.count('used')).toBe(2500)
})
