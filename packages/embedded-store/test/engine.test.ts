import { closeSync, readSync } from 'node:fs'
import { EmbeddedStore, MAX_RECORD_CONTENT, MAX_TABLE_KEY } from '@neve/embedded-store'
import { RECORD_HEADER } from '@neve/embedded-store/record'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, noise, prose, segmentFiles, temporaryFolder, writeAll } from './support.js'

describe('content', () => {
  it('reads back what was committed, compressed or not, empty or long', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const contents = [
      new Uint8Array(0),
      bytes('x'),
      prose(95),
      prose(96),
      noise(5000),
      prose(2_000_000),
      noise(300_000),
    ]
    const keys = await writeAll(store, contents)
    for (const [i, content] of contents.entries()) {
      expect(Buffer.compare((await store.readContent(keys[i]!))!, content)).toBe(0)
      expect(store.hasContent(keys[i]!)).toBe(true)
      expect(store.locate(keys[i]!)?.rawLength).toBe(content.length)
    }
    expect(store.count('content')).toBe(contents.length)
    expect(store.locate(keys[5]!)!.storedLength).toBeLessThan(10_000)
    expect(store.locate(keys[6]!)!.storedLength).toBe(300_000)
  })

  it('is invisible until its commit, and absent content is undefined', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const key = keyOf('a')
    const session = store.write()
    session.appendContent(key, bytes('a'))
    expect(store.hasContent(key)).toBe(false)
    expect(await store.readContent(key)).toBeUndefined()
    expect(store.contentReader().readSync(key)).toBeUndefined()
    await session.commit()
    expect(await store.readContent(key)).toEqual(new Uint8Array(bytes('a')))
    expect(await store.readContent(keyOf('b'))).toBeUndefined()
  })

  it('copies content before appendContent returns, and the result of readContent belongs to the caller', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const content = noise(1000)
    const original = Uint8Array.from(content)
    const key = keyOf(content)
    const session = store.write()
    session.appendContent(key, content)
    content.fill(0)
    await session.commit()
    const first = (await store.readContent(key))!
    first.fill(7)
    expect(Buffer.compare((await store.readContent(key))!, original)).toBe(0)
  })

  it('lists its keys in bytewise order, in arrays of their own', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const keys = await writeAll(
      store,
      Array.from({ length: 50 }, (_, i) => bytes(`content ${i}`)),
    )
    const sorted = keys.sort(Buffer.compare).map((key) => Buffer.from(key).toString('hex'))
    expect([...store.contentKeys()].map((key) => Buffer.from(key).toString('hex'))).toEqual(sorted)
  })

  it('is given in order of writing from blocks: peek answers without the index', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const contents = Array.from({ length: 200 }, (_, i) => noise(100 + i))
    const keys = await writeAll(store, contents)
    const reader = store.contentReader()
    let peeked = 0
    for (const [i, key] of keys.entries()) {
      const hit = reader.peek(key)
      if (hit !== undefined) peeked++
      const stored = (hit ?? (await reader.read(key)))!
      const out = new Uint8Array(stored.rawLength)
      expect(reader.expand(stored, out)).toBe(true)
      expect(Buffer.compare(out, contents[i]!)).toBe(0)
    }
    expect(peeked).toBeGreaterThan(190)
    expect(reader.peek(keys[3]!)).toBeUndefined()
    const again = reader.readSync(keys[3]!)!
    expect(again.rawLength).toBe(103)
    expect(reader.expand(again, new Uint8Array(102))).toBe(false)
  })

  it('reads in any order, over reads behind and ahead of the block at hand', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder(), { segmentSize: 400_000 })
    const contents = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? noise(9000 - i) : prose(50 * i)))
    const keys = await writeAll(store, contents)
    const reader = store.contentReader()
    for (let step = 0; step < 1000; step++) {
      const i = (step * 7919 + (step % 5)) % contents.length
      const stored = step % 2 === 0 ? reader.readSync(keys[i]!)! : (await reader.read(keys[i]!))!
      const out = new Uint8Array(stored.rawLength)
      expect(reader.expand(stored, out)).toBe(true)
      expect(Buffer.compare(out, contents[i]!)).toBe(0)
    }
  })

  it('is read by a hundred readers at once', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder(), { segmentSize: 2000 })
    const contents = Array.from({ length: 300 }, () => noise(1500))
    const keys = await writeAll(store, contents)
    // More segments than descriptors are kept open: some are closed while others read.
    expect(segmentFiles(store.path).length).toBeGreaterThan(140)
    const all = await Promise.all(keys.map((key) => store.readContent(key)))
    for (const [i, content] of contents.entries()) expect(Buffer.compare(all[i]!, content)).toBe(0)
  })

  it('is read by others from where it lies', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const content = noise(70_000)
    const [key] = await writeAll(store, [content])
    const { segment, offset, storedLength } = store.locate(key!)!
    const descriptor = store.openSegment(segment)
    const out = new Uint8Array(new SharedArrayBuffer(storedLength))
    readSync(descriptor, out, 0, storedLength, offset + RECORD_HEADER)
    closeSync(descriptor)
    expect(Buffer.compare(out, content)).toBe(0)
    expect(() => store.openSegment(segment + 1)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('refuses a second read through one reader while the first is under way', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const [a, b] = await writeAll(store, [noise(2000), noise(2000)])
    const reader = store.contentReader()
    const first = reader.read(a!)
    expect(() => reader.readSync(b!)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    expect((await first)!.rawLength).toBe(2000)
    expect((await reader.read(b!))!.rawLength).toBe(2000)
  })
})

describe('tables', () => {
  it('set, replace and remove entries; values belong to the caller', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const key = keyOf('entry')
    const session = store.write()
    for (const table of ['blobs', 'directories', 'nars', 'files'] as const)
      session.put(table, key, bytes(table))
    session.put('pathInfos', key.subarray(0, 20), bytes('pathInfos'))
    await session.commit()
    expect(Buffer.from(store.get('blobs', key)!).toString()).toBe('blobs')
    expect(Buffer.from(store.get('pathInfos', key.subarray(0, 20))!).toString()).toBe('pathInfos')
    const value = store.get('directories', key)!
    expect(store.has('nars', key)).toBe(true)
    expect(Buffer.from(value).toString()).toBe('directories')
    session.put('directories', key, noise(100_000))
    session.remove('nars', key)
    await session.commit()
    expect(store.get('directories', key)!.length).toBe(100_000)
    expect(store.has('nars', key)).toBe(false)
    expect(store.get('nars', key)).toBeUndefined()
    expect(store.count('directories')).toBe(1)
    expect(store.count('nars')).toBe(0)
  })

  it('keep the last of several changes in one commit, and empty values', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    session.put('files', bytes('a'), bytes('1'))
    session.put('files', bytes('a'), bytes('2'))
    session.put('files', bytes('b'), bytes('3'))
    session.remove('files', bytes('b'))
    session.put('files', bytes('c'), new Uint8Array(0))
    await session.commit()
    expect([...store.entries('files')].map(([k, v]) => `${Buffer.from(k)}=${Buffer.from(v)}`)).toEqual([
      'a=2',
      'c=',
    ])
    expect(store.get('files', bytes('c'))).toHaveLength(0)
  })

  it('are walked in bytewise order from any key on, while other entries change', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    for (const name of ['b', 'a', 'ab', 'c', 'Z', '\u00ff']) session.put('files', bytes(name), bytes(name))
    await session.commit()
    const names = (from?: string): string[] =>
      [...store.entries('files', from === undefined ? undefined : bytes(from))].map(
        ([key]) => `${Buffer.from(key)}`,
      )
    expect(names()).toEqual(['Z', 'a', 'ab', 'b', 'c', '\u00ff'])
    expect(names('aa')).toEqual(['ab', 'b', 'c', '\u00ff'])
    const walked: string[] = []
    for (const [key] of store.entries('files')) {
      walked.push(`${Buffer.from(key)}`)
      session.put('files', bytes('a'), bytes(`again ${walked.length}`))
      await session.commit()
    }
    expect(walked).toEqual(['Z', 'a', 'ab', 'b', 'c', '\u00ff'])
  })

  it('refuse keys and values that do not fit, and nothing else of the commit suffers', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    session.put('files', bytes('sound'), bytes('1'))
    const refused: readonly (readonly ['blobs' | 'directories' | 'pathInfos' | 'nars' | 'files', number])[] =
      [
        ['blobs', 31],
        ['blobs', 33],
        ['directories', 0],
        ['pathInfos', 32],
        ['pathInfos', 19],
        ['nars', 0],
        ['files', MAX_TABLE_KEY + 1],
      ]
    for (const [table, length] of refused) {
      expect(await failure(() => session.put(table, new Uint8Array(length), bytes('v')))).toBe(
        'invalid-input',
      )
      expect(await failure(() => session.remove(table, new Uint8Array(length)))).toBe('invalid-input')
      expect(await failure(() => store.get(table, new Uint8Array(length)))).toBe('invalid-input')
      expect(await failure(() => store.has(table, new Uint8Array(length)))).toBe('invalid-input')
    }
    session.put('files', new Uint8Array(MAX_TABLE_KEY), bytes('2'))
    await session.commit()
    expect(store.count('files')).toBe(2)
  })
})

describe('limits', () => {
  it('refuses keys and contents that a record cannot hold', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    for (const length of [0, 31, 33]) {
      const key = new Uint8Array(length)
      expect(await failure(() => session.appendContent(key, bytes('x')))).toBe('invalid-input')
      expect(await failure(() => store.hasContent(key))).toBe('invalid-input')
      expect(await failure(() => store.locate(key))).toBe('invalid-input')
      expect(await failure(() => store.readContent(key))).toBe('invalid-input')
    }
    const tooLong = new Uint8Array(MAX_RECORD_CONTENT + 1)
    expect(await failure(() => session.appendContent(keyOf('x'), tooLong))).toBe('invalid-input')
    expect(segmentFiles(store.path)).toEqual([])
  })

  it('refuses segment sizes outside its range', async () => {
    for (const segmentSize of [0, -1, 1.5, Number.NaN, 2 ** 31 + 1]) {
      expect(await failure(() => EmbeddedStore.open(temporaryFolder(), { segmentSize }))).toBe(
        'invalid-input',
      )
    }
  })
})
