import { EmbeddedStore } from '@neve/embedded-store'
import { packedBound, packRecord, RECORD_HEADER, RecordKind } from '@neve/embedded-store/record'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, noise, prose, temporaryFolder } from './support.js'

describe('appendPacked', () => {
  const pack = (store: EmbeddedStore, contents: readonly Uint8Array[]) => {
    const run = new Uint8Array(contents.reduce((sum, one) => sum + packedBound(one.length), 0))
    let at = 0
    const records = contents.map((content) => {
      const key = keyOf(content)
      const length = packRecord(run, at, RecordKind.content, key, content, store.salt)
      const record = { key, offset: at, storedLength: length - RECORD_HEADER, rawLength: content.length }
      at += length
      return record
    })
    return { run: run.subarray(0, at), records }
  }

  it('takes runs of records from elsewhere, between appends of its own', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const contents = [prose(1000), noise(10), new Uint8Array(0), noise(70_000)]
    const session = store.write()
    session.appendContent(keyOf('before'), bytes('before'))
    const { run, records } = pack(store, contents)
    await session.appendPacked(run, records)
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
    const { run, records } = pack(store, contents)
    // Some with a gap before them, some without, and more pieces than one system call takes.
    const gap = (index: number): number => (index % 4 === 0 ? 1 + (index % 7) : 0)
    const spread = new Uint8Array(run.length + contents.length * 7).fill(0xee)
    let at = 0
    const moved = records.map((record, index) => {
      at += gap(index)
      const offset = at
      const length = RECORD_HEADER + record.storedLength
      spread.set(run.subarray(record.offset, record.offset + length), offset)
      at += length
      return { ...record, offset }
    })
    const session = store.write()
    await session.appendPacked(spread, moved)
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
      const { run, records } = pack(store, contents)
      await session.appendPacked(run, records)
      session.appendContent(keyOf(`between ${i}`), bytes(`between ${i}`))
      written.push(...contents, bytes(`between ${i}`))
    }
    await session.commit()
    for (const content of written) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
  })

  it('refuses a run that is not what is said of it', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const { run, records } = pack(store, [prose(1000), noise(10)])
    const [first, second] = [records[0]!, records[1]!]
    const session = store.write()
    const refused = [
      [{ ...first, offset: 1 }],
      [{ ...first, offset: -1 }],
      [{ ...first, offset: run.length }],
      [{ ...first, key: keyOf('other') }],
      [{ ...first, key: new Uint8Array(31) }],
      [{ ...first, storedLength: first.storedLength + 1 }],
      [{ ...first, rawLength: first.rawLength - 1 }],
      [second, first],
      [first, first],
    ]
    for (const described of refused) {
      expect(await failure(() => session.appendPacked(run, described))).toBe('invalid-input')
    }
    expect(await failure(() => session.appendPacked(run.subarray(0, -1), records))).toBe('invalid-input')
    const foreign = new Uint8Array(packedBound(3))
    const length = packRecord(
      foreign,
      0,
      RecordKind.content,
      keyOf('abc'),
      bytes('abc'),
      (store.salt ^ 1) >>> 0,
    )
    const record = { key: keyOf('abc'), offset: 0, storedLength: length - RECORD_HEADER, rawLength: 3 }
    expect(await failure(() => session.appendPacked(foreign, [record]))).toBe('invalid-input')
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
