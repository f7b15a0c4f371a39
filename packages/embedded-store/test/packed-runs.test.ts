import { EmbeddedStore } from '@neve/embedded-store'
import { packedBound, packRecord, RecordKind } from '@neve/embedded-store/record'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, noise, prose, temporaryFolder } from './support.js'

describe('appendPacked', () => {
  const pack = (store: EmbeddedStore, contents: readonly Uint8Array[]) => {
    const run = new Uint8Array(contents.reduce((sum, one) => sum + packedBound(one.length), 0))
    let at = 0
    const offsets = contents.map((content) => {
      const offset = at
      at += packRecord(run, at, RecordKind.content, keyOf(content), content, store.salt)
      return offset
    })
    return { run: run.subarray(0, at), offsets }
  }

  it('takes runs of records from elsewhere, between appends of its own', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const contents = [prose(1000), noise(10), new Uint8Array(0), noise(70_000)]
    const session = store.write()
    session.appendContent(keyOf('before'), bytes('before'))
    const { run, offsets } = pack(store, contents)
    const { rawBytes, storedBytes, written } = session.appendPacked(run, offsets)
    expect([rawBytes, storedBytes]).toEqual([71_010, run.length])
    await written
    run.fill(0)
    session.appendContent(keyOf('after'), bytes('after'))
    await session.commit()
    for (const content of contents) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
    expect(Buffer.from((await store.readContent(keyOf('before')))!).toString()).toBe('before')
    expect(Buffer.from((await store.readContent(keyOf('after')))!).toString()).toBe('after')
  })

  it('leaves out what lies between records', async () => {
    const path = temporaryFolder()
    const store = await EmbeddedStore.open(path)
    const contents = Array.from({ length: 2500 }, (_, i) => bytes(`content ${i}`))
    const { run, offsets } = pack(store, contents)
    // Some with a gap before them, some without, and more pieces than one system call takes.
    const gap = (index: number): number => (index % 4 === 0 ? 1 + (index % 7) : 0)
    const spread = new Uint8Array(run.length + contents.length * 7).fill(0xee)
    let at = 0
    const moved = offsets.map((from, index) => {
      at += gap(index)
      const offset = at
      const record = run.subarray(from, offsets[index + 1])
      spread.set(record, offset)
      at += record.length
      return offset
    })
    const session = store.write()
    await session.appendPacked(spread, moved).written
    await session.commit()
    for (const content of contents) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
    await store.close()
    expect(await EmbeddedStore.rebuild(path)).toEqual({ segments: 1, records: 2500, skippedBytes: 0 })
  })

  it('finds every record of runs that fill segments', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder(), { segmentSize: 100_000 })
    const session = store.write()
    const written: Uint8Array[] = []
    for (let i = 0; i < 20; i++) {
      const contents = [noise(9_000), noise(30_000), noise(1 + i)]
      const { run, offsets } = pack(store, contents)
      await session.appendPacked(run, offsets).written
      session.appendContent(keyOf(`between ${i}`), bytes(`between ${i}`))
      written.push(...contents, bytes(`between ${i}`))
    }
    await session.commit()
    for (const content of written) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
  })

  it('leaves out content that waits for its commit already, and waits for that too', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const [first, second] = [store.write(), store.write()]
    const content = noise(10)
    const { run, offsets } = pack(store, [prose(1000), content, prose(1000)])
    const taken = first.appendPacked(run, offsets)
    expect([taken.rawBytes, taken.storedBytes]).toEqual([1010, offsets[2]])
    const again = second.appendPacked(run, offsets)
    expect([again.rawBytes, again.storedBytes]).toEqual([0, 0])
    await Promise.all([taken.written, again.written])
    await second.commit()
    expect(store.count('content')).toBe(2)
    // What is committed is written anew: it may be damaged.
    expect(second.appendPacked(run, [offsets[1]!]).rawBytes).toBe(10)
    await second.commit()
    expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
  })

  it('refuses a run that is not what is said of it', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const { run, offsets } = pack(store, [prose(1000), noise(10)])
    const [first, second] = [offsets[0]!, offsets[1]!]
    const session = store.write()
    const refused = [[1], [-1], [0.5], [Number.NaN], [run.length], [second, first], [first, first]]
    for (const described of refused) {
      expect(await failure(() => session.appendPacked(run, described))).toBe('invalid-input')
    }
    expect(await failure(() => session.appendPacked(run.subarray(0, -1), offsets))).toBe('invalid-input')
    const other = Uint8Array.from(run)
    other[second + 20]! ^= 1
    expect(await failure(() => session.appendPacked(other, offsets))).toBe('invalid-input')
    const foreign = new Uint8Array(packedBound(3))
    packRecord(foreign, 0, RecordKind.content, keyOf('abc'), bytes('abc'), (store.salt ^ 1) >>> 0)
    expect(await failure(() => session.appendPacked(foreign, [0]))).toBe('invalid-input')
    await session.commit()
    expect(store.count('content')).toBe(0)
  })

  it('packRecord refuses a buffer without room and a key of another length', () => {
    const out = new Uint8Array(packedBound(10))
    expect(() => packRecord(out, 1, RecordKind.content, keyOf('k'), noise(10), 0)).toThrow(/may need/)
    expect(() => packRecord(out, 0, RecordKind.content, bytes('k'), noise(10), 0)).toThrow(
      /must have 32 bytes/,
    )
  })
})
