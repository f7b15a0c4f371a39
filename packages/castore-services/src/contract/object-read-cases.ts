import { expect, it } from 'vitest'
import type { ObjectStore } from '../object-store/object-store.js'
import { sameBytes } from './blob-fixtures.js'
import { bytes, CONTENT, INVALID_KEYS, KEY, OTHER_KEY } from './object-fixtures.js'
import { randomBytes } from './random.js'

/** Each call with a key. */
const CALLS: readonly (readonly [string, (store: ObjectStore, key: string) => Promise<unknown>])[] = [
  ['head', (store, key) => store.head(key)],
  ['get', (store, key) => store.get(key)],
  ['put', (store, key) => store.put(key, CONTENT)],
  ['putIfAbsent', (store, key) => store.putIfAbsent(key, CONTENT)],
  ['delete', (store, key) => store.delete(key)],
]

export function objectReadCases(store: () => ObjectStore): void {
  it('has a name', () => {
    expect(store().name).toMatch(/^[a-z0-9]+/)
  })

  it('gives undefined for what is not there', async () => {
    expect(await store().head(KEY)).toBeUndefined()
    expect(await store().get(KEY)).toBeUndefined()
    expect(await store().get(KEY, { range: { offset: 0, length: 1 }, maxSize: 1 })).toBeUndefined()
  })

  it('does not take the beginning of a key, or more than it, for the key', async () => {
    await store().put(KEY, CONTENT)
    for (const key of ['blobs', 'blobs/b3/41f8', KEY.slice(0, -1), `${KEY}0`, OTHER_KEY]) {
      expect(await store().head(key), key).toBeUndefined()
      expect(await store().get(key), key).toBeUndefined()
    }
  })

  it.each([0, 1, 11, 4096, 256 * 1024, 3 * 1024 * 1024 + 1])('reads back %i bytes', async (size) => {
    const content = randomBytes(size, size)
    await store().put(KEY, content)
    expect(await store().head(KEY)).toMatchObject({ key: KEY, size })
    expect(sameBytes(await store().get(KEY), content)).toBe(true)
  })

  it('gives each caller bytes of its own', async () => {
    await store().put(KEY, CONTENT)
    const first = await store().get(KEY)
    first!.fill(0)
    expect(sameBytes(await store().get(KEY), CONTENT)).toBe(true)
  })

  it.each([
    [0, 5, 'Hello'],
    [6, 5, 'World'],
    [6, 500, 'World'],
    [0, 11, 'Hello World'],
    [0, 1e9, 'Hello World'],
    [4, 1, 'o'],
    [0, 0, ''],
    [10, 1, 'd'],
    [11, 1, ''],
    [11, 0, ''],
    [12, 1, ''],
    [1e9, 10, ''],
  ])('reads the range from %i, %i long', async (offset, length, expected) => {
    await store().put(KEY, CONTENT)
    const found = await store().get(KEY, { range: { offset, length } })
    expect(sameBytes(found, bytes(expected))).toBe(true)
  })

  it('reads ranges of an empty object', async () => {
    await store().put(KEY, new Uint8Array(0))
    expect(await store().get(KEY, { range: { offset: 0, length: 10 } })).toHaveLength(0)
    expect(await store().get(KEY, { range: { offset: 10, length: 10 } })).toHaveLength(0)
    expect(await store().get(KEY, { maxSize: 0 })).toHaveLength(0)
  })

  it('refuses what is larger than maxSize', async () => {
    await store().put(KEY, CONTENT)
    await expect(store().get(KEY, { maxSize: 10 })).rejects.toMatchObject({ code: 'too-large' })
    await expect(store().get(KEY, { maxSize: 0 })).rejects.toMatchObject({ code: 'too-large' })
    expect(await store().get(KEY, { maxSize: 11 })).toHaveLength(11)
    expect(await store().get(KEY, { maxSize: 5, range: { offset: 2, length: 5 } })).toHaveLength(5)
    const tooLong = { maxSize: 4, range: { offset: 2, length: 5 } }
    await expect(store().get(KEY, tooLong)).rejects.toMatchObject({ code: 'too-large' })
    expect(await store().get(KEY, { maxSize: 1, range: { offset: 10, length: 5 } })).toHaveLength(1)
  })

  it.each([
    { range: { offset: -1, length: 1 } },
    { range: { offset: 0, length: -1 } },
    { range: { offset: 0.5, length: 1 } },
    { range: { offset: 0, length: Number.NaN } },
    { maxSize: -1 },
    { maxSize: Number.POSITIVE_INFINITY },
  ])('refuses the options $range $maxSize', async (options) => {
    await store().put(KEY, CONTENT)
    await expect(store().get(KEY, options)).rejects.toMatchObject({ code: 'invalid-input' })
  })

  it.each(CALLS)('refuses keys that are none: %s', async (_name, call) => {
    for (const key of INVALID_KEYS) {
      await expect(call(store(), key), JSON.stringify(key)).rejects.toMatchObject({
        name: 'CastoreError',
        code: 'invalid-input',
      })
    }
  })

  it('takes every character that a key may have', async () => {
    const keys = ['a', 'A-Z_0.9', '-', '_', '...', '.hidden/x', 'a.b/c-d/E_F', '0/1/2/3/4/5/6/7/8/9']
    for (const key of keys) await store().put(key, bytes(key))
    for (const key of keys) expect(sameBytes(await store().get(key), bytes(key)), key).toBe(true)
  })
}
