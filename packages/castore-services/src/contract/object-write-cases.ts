import { expect, it } from 'vitest'
import type { ObjectStore } from '../object-store/object-store.js'
import { sameBytes } from './blob-fixtures.js'
import { bytes, CONTENT, KEY, listed, OTHER_KEY } from './object-fixtures.js'
import { randomBytes } from './random.js'

export function objectWriteCases(store: () => ObjectStore): void {
  it('replaces an object by a longer and by a shorter one', async () => {
    await store().put(KEY, CONTENT)
    for (const content of [bytes('Hello World, and all who are in it'), bytes('Hi'), bytes('')]) {
      await store().put(KEY, content)
      expect(await store().head(KEY)).toMatchObject({ key: KEY, size: content.length })
      expect(sameBytes(await store().get(KEY), content)).toBe(true)
    }
  })

  it('keeps nothing of what it was given', async () => {
    const content = bytes('mine')
    await store().put(KEY, content)
    await store().putIfAbsent(OTHER_KEY, content)
    content.fill(0)
    expect(sameBytes(await store().get(KEY), bytes('mine'))).toBe(true)
    expect(sameBytes(await store().get(OTHER_KEY), bytes('mine'))).toBe(true)
  })

  it('writes a view, and not the whole of its buffer', async () => {
    const whole = bytes('before-content-after')
    await store().put(KEY, whole.subarray(7, 14))
    expect(sameBytes(await store().get(KEY), bytes('content'))).toBe(true)
  })

  it('writes if absent, and tells whether it did', async () => {
    expect(await store().putIfAbsent(KEY, CONTENT)).toBe(true)
    expect(await store().putIfAbsent(KEY, bytes('another'))).toBe(false)
    expect(sameBytes(await store().get(KEY), CONTENT)).toBe(true)
    await store().delete(KEY)
    expect(await store().putIfAbsent(KEY, bytes('another'))).toBe(true)
    expect(sameBytes(await store().get(KEY), bytes('another'))).toBe(true)
  })

  it('writes many at once where they are absent, and tells of each', async ({ skip }) => {
    const one = store()
    const putAll = one.putAllIfAbsent?.bind(one)
    skip(putAll === undefined, 'this store writes one at a time')
    expect(await putAll!([])).toEqual([])
    await one.put(OTHER_KEY, bytes('there'))
    const objects = [
      { key: KEY, content: CONTENT },
      { key: OTHER_KEY, content: bytes('another') },
      { key: `${KEY}.empty`, content: bytes('') },
    ]
    expect(await putAll!(objects)).toEqual([true, false, true])
    expect(sameBytes(await one.get(KEY), CONTENT)).toBe(true)
    expect(sameBytes(await one.get(OTHER_KEY), bytes('there'))).toBe(true)
    expect(await one.get(`${KEY}.empty`)).toHaveLength(0)
    expect(await putAll!(objects)).toEqual([false, false, false])
    await expect(putAll!([{ key: '../up', content: CONTENT }])).rejects.toMatchObject({
      code: 'invalid-input',
    })
    const gone = AbortSignal.abort(new Error('not wanted'))
    await expect(putAll!(objects, { signal: gone })).rejects.toBe(gone.reason)
  })

  it('replaces what is expected, where it can, and nothing else', async ({ skip }) => {
    const one = store()
    const replace = one.replace?.bind(one)
    skip(replace === undefined, 'this store cannot replace under a condition')
    expect(await replace!(KEY, CONTENT, bytes('more'))).toBe(false)
    expect(await one.head(KEY)).toBeUndefined()
    await one.put(KEY, CONTENT)
    expect(await replace!(KEY, bytes('something else'), bytes('more'))).toBe(false)
    expect(sameBytes(await one.get(KEY), CONTENT)).toBe(true)
    expect(await replace!(KEY, CONTENT, bytes('more'))).toBe(true)
    expect(sameBytes(await one.get(KEY), bytes('more'))).toBe(true)
  })

  it('knows an empty object from none', async () => {
    expect(await store().putIfAbsent(KEY, new Uint8Array(0))).toBe(true)
    expect(await store().head(KEY)).toMatchObject({ key: KEY, size: 0 })
    expect(await store().get(KEY)).toHaveLength(0)
    expect(await store().putIfAbsent(KEY, CONTENT)).toBe(false)
    expect(await listed(store(), '')).toEqual({ [KEY]: 0 })
  })

  it('tells when an object was written, or does not know', async () => {
    const before = Date.now()
    await store().put(KEY, CONTENT)
    const modified = (await store().head(KEY))?.modified
    const inList: (number | undefined)[] = []
    for await (const meta of store().list('')) inList.push(meta.modified)
    expect(inList).toEqual([modified])
    // To the second, by the clock of another machine perhaps.
    if (modified !== undefined) expect(Math.abs(modified - before)).toBeLessThan(3_600_000)
  })

  it('touches what is there, and nothing else', async ({ skip }) => {
    const one = store()
    skip(one.touch === undefined, 'this store cannot touch')
    expect(await one.touch!(KEY)).toBe(false)
    expect(await one.head(KEY)).toBeUndefined()
    await one.put(KEY, CONTENT)
    const { modified } = (await one.head(KEY))!
    expect(await one.touch!(KEY)).toBe(true)
    expect((await one.head(KEY))!.modified).toBeGreaterThanOrEqual(modified!)
    expect(sameBytes(await one.get(KEY), CONTENT)).toBe(true)
  })

  it('deletes many, also where some are not there', async ({ skip }) => {
    const one = store()
    skip(one.deleteAll === undefined, 'this store deletes one by one')
    const keys = Array.from({ length: 600 }, (_, index) => `many/${index % 7}/${index}`)
    await Promise.all(keys.slice(0, 550).map((key) => one.put(key, CONTENT)))
    await one.put(OTHER_KEY, CONTENT)
    await one.deleteAll!(keys)
    expect(await listed(one, '')).toEqual({ [OTHER_KEY]: CONTENT.length })
    await one.deleteAll!([])
  })

  it('deletes', async () => {
    await store().put(KEY, CONTENT)
    await store().put(OTHER_KEY, CONTENT)
    await store().delete(KEY)
    expect(await store().head(KEY)).toBeUndefined()
    expect(await store().get(KEY)).toBeUndefined()
    expect(await store().head(OTHER_KEY)).toMatchObject({ key: OTHER_KEY, size: CONTENT.length })
    await store().delete(KEY)
    await store().delete('never/was/there')
  })

  it('lists by prefix', async () => {
    const keys = ['a', 'ab', 'b/a', 'b/ab', 'b/c/d', 'b/c/e', 'bc', 'c/a']
    for (const [index, key] of keys.entries()) await store().put(key, randomBytes(index, index))
    const sizes = Object.fromEntries(keys.map((key, index) => [key, index]))
    for (const prefix of [
      '',
      'a',
      'ab',
      'b',
      'b/',
      'b/a',
      'b/c',
      'b/c/',
      'b/c/d',
      'c/',
      'd',
      'd/',
      'b/c/d/',
    ]) {
      const expected = Object.fromEntries(Object.entries(sizes).filter(([key]) => key.startsWith(prefix)))
      expect(await listed(store(), prefix), prefix).toEqual(expected)
    }
  })

  it('lists nothing where there is nothing', async () => {
    expect(await listed(store(), '')).toEqual({})
    expect(await listed(store(), 'blobs/b3/')).toEqual({})
    await store().put(KEY, CONTENT)
    await store().delete(KEY)
    expect(await listed(store(), '')).toEqual({})
  })

  it('can be stopped while it lists', async () => {
    for (let index = 0; index < 20; index++) await store().put(`many/${index}`, CONTENT)
    let count = 0
    for await (const _ of store().list('many/')) if (++count === 3) break
    expect(count).toBe(3)
    expect(Object.keys(await listed(store(), 'many/'))).toHaveLength(20)
  })

  it.each(['/', '/a', 'a//', '../', '..//a', 'a/../b', './a', 'a b', 'ä', 'a%'])(
    'refuses the prefix %j',
    async (prefix) => {
      await expect(listed(store(), prefix)).rejects.toMatchObject({ code: 'invalid-input' })
    },
  )
}
