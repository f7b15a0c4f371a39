import {
  appendFileSync,
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStore, EmbeddedStoreError } from '@neve/embedded-store'
import { packedBound, packRecord, RecordKind } from '@neve/embedded-store/record'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headerHolds, parseHeader } from '../src/record.js'
import { SegmentScan } from '../src/segment-scan.js'
import { bytes, keyOf, noise, prose, segmentFiles, temporaryFolder, writeAll } from './support.js'

async function filledStore(): Promise<{ folder: string; contents: Uint8Array[]; keys: Uint8Array[] }> {
  const folder = temporaryFolder()
  const contents = [noise(5000), prose(20_000), new Uint8Array(0), noise(10)]
  await using store = await EmbeddedStore.open(folder)
  const keys = await writeAll(store, contents)
  const session = store.write()
  session.put('blobs', keyOf('blob'), noise(300))
  session.put('directories', keyOf('directory'), prose(900))
  session.put('pathInfos', keyOf('path').subarray(0, 20), bytes('path info'))
  session.put('nars', keyOf('nar'), bytes('may be lost'))
  await session.commit()
  return { folder, contents, keys }
}

const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString()

describe('rebuild', () => {
  it('happens by itself when the tables are gone, and brings back content, blobs, directories and path infos', async () => {
    const { folder, contents, keys } = await filledStore()
    rmSync(join(folder, 'tables'), { recursive: true })
    await using store = await EmbeddedStore.open(folder)
    for (const [i, key] of keys.entries()) {
      expect(Buffer.compare((await store.readContent(key))!, contents[i]!)).toBe(0)
    }
    expect(store.get('blobs', keyOf('blob'))).toHaveLength(300)
    expect(text(store.get('directories', keyOf('directory')))).toBe(text(prose(900)))
    expect(text(store.get('pathInfos', keyOf('path').subarray(0, 20)))).toBe('path info')
    expect([...store.entries('pathInfos')].map(([key]) => key.length)).toEqual([20])
    expect(store.count('nars')).toBe(0)
    expect(existsSync(join(folder, 'tables.new'))).toBe(false)
    const [key] = await writeAll(store, [bytes('more')])
    expect(store.locate(key!)!.segment).toBe(2)
  })

  it('happens once when several open the store at the same moment', async () => {
    const { folder, keys } = await filledStore()
    rmSync(join(folder, 'tables'), { recursive: true })
    const stores = await Promise.all(Array.from({ length: 4 }, () => EmbeddedStore.open(folder)))
    for (const store of stores) {
      expect(store.hasContent(keys[0]!)).toBe(true)
      await store.close()
    }
  })

  it('starts anew after one that was interrupted', async () => {
    const { folder, keys } = await filledStore()
    cpSync(join(folder, 'tables'), join(folder, 'tables.new'), { recursive: true })
    writeFileSync(join(folder, 'tables.new/data.mdb'), 'half')
    rmSync(join(folder, 'tables'), { recursive: true })
    await using store = await EmbeddedStore.open(folder)
    expect(store.hasContent(keys[0]!)).toBe(true)
  })

  it('reports what it found', async () => {
    const { folder } = await filledStore()
    expect(await EmbeddedStore.rebuild(folder)).toEqual({ segments: 1, records: 7, skippedBytes: 0 })
    expect(await EmbeddedStore.rebuild(folder)).toEqual({ segments: 1, records: 7, skippedBytes: 0 })
  })

  it('keeps the latest of several changes, whatever segments they lie in, and removals', async () => {
    const folder = temporaryFolder()
    {
      await using one = await EmbeddedStore.open(folder)
      await using two = await EmbeddedStore.open(folder)
      const set = async (store: EmbeddedStore, name: string, value: string | undefined): Promise<void> => {
        const session = store.write()
        const key = keyOf(name).subarray(0, 20)
        if (value === undefined) session.remove('pathInfos', key)
        else session.put('pathInfos', key, bytes(value))
        await session.commit()
      }
      await set(one, 'first', 'x')
      await set(two, 'changed', 'old')
      await set(one, 'changed', 'new')
      await set(two, 'removed', 'there')
      await set(one, 'removed', undefined)
      await set(two, 'back', 'first')
      await set(one, 'back', undefined)
      await set(two, 'back', 'again')
    }
    expect(segmentFiles(folder)).toHaveLength(2)
    await EmbeddedStore.rebuild(folder)
    await using store = await EmbeddedStore.open(folder)
    const get = (name: string): string | undefined =>
      text(store.get('pathInfos', keyOf(name).subarray(0, 20)))
    expect([get('first'), get('changed'), get('removed'), get('back')]).toEqual([
      'x',
      'new',
      undefined,
      'again',
    ])
    expect(store.count('pathInfos')).toBe(3)
  })

  it('skips and counts damaged ranges and torn tails, and finds what lies behind them', async () => {
    const { folder, keys } = await filledStore()
    const path = join(folder, 'segments', segmentFiles(folder)[0]!)
    const sound = readFileSync(path)
    const damaged = Buffer.from(sound)
    damaged[16 + 52 + 100]! ^= 1
    writeFileSync(path, damaged)
    appendFileSync(path, noise(77))
    const report = await EmbeddedStore.rebuild(folder)
    expect(report).toEqual({ segments: 1, records: 6, skippedBytes: 5052 + 77 })
    await using store = await EmbeddedStore.open(folder)
    expect(keys.map((key) => store.hasContent(key))).toEqual([false, true, true, true])
    expect(store.count('directories')).toBe(1)
  })

  it('does not need the header of a segment', async () => {
    const { folder } = await filledStore()
    const path = join(folder, 'segments', segmentFiles(folder)[0]!)
    const bytes = readFileSync(path)
    bytes.fill(0, 0, 16)
    writeFileSync(path, bytes)
    expect(await EmbeddedStore.rebuild(folder)).toEqual({ segments: 1, records: 7, skippedBytes: 16 })
  })

  it('takes nothing for a record that content from outside made to look like one', async () => {
    const folder = temporaryFolder()
    const forged = new Uint8Array(packedBound(11) * 2)
    let salt: number
    {
      await using store = await EmbeddedStore.open(folder)
      salt = store.salt
      // Whoever makes the content does not know the salt of the store: these are for all others.
      const wrong = [(salt + 1) >>> 0, 0].find((one) => one !== salt)!
      let at = packRecord(forged, 0, RecordKind.content, keyOf('victim'), bytes('wrong bytes'), wrong)
      at += packRecord(forged, at, RecordKind.pathInfos, keyOf('victim'), bytes('wrong entry'), wrong)
      await writeAll(store, [Buffer.concat([noise(100), forged.subarray(0, at), noise(100)])])
    }
    const path = join(folder, 'segments', segmentFiles(folder)[0]!)
    const file = readFileSync(path)
    expect(file.includes(Buffer.from('NVR1'), 60)).toBe(true)
    file[20]! ^= 1
    writeFileSync(path, file)
    const report = await EmbeddedStore.rebuild(folder)
    expect(report).toEqual({ segments: 1, records: 0, skippedBytes: file.length - 16 })
    await using store = await EmbeddedStore.open(folder)
    expect(store.hasContent(keyOf('victim'))).toBe(false)
    expect(store.count('pathInfos')).toBe(0)
  })
})

describe('fuzz', () => {
  const mutation = fc.array(
    fc.record({
      kind: fc.constantFrom('flip', 'cut', 'insert', 'repeat', 'magic'),
      at: fc.nat({ max: 30_000 }),
      data: fc.uint8Array({ minLength: 1, maxLength: 80 }),
    }),
    { minLength: 1, maxLength: 8 },
  )
  const mutate = (
    sound: Buffer,
    steps: readonly { kind: string; at: number; data: Uint8Array }[],
  ): Buffer => {
    let out = sound
    for (const { kind, at: wish, data } of steps) {
      const at = wish % (out.length + 1)
      const [head, tail] = [out.subarray(0, at), out.subarray(at)]
      if (kind === 'flip') {
        out = Buffer.from(out)
        out[Math.min(at, out.length - 1)] = data[0]!
      } else if (kind === 'cut') out = Buffer.concat([head, tail.subarray(data.length)])
      else if (kind === 'insert') out = Buffer.concat([head, data, tail])
      else if (kind === 'repeat') out = Buffer.concat([head, tail.subarray(0, 400), tail])
      else out = Buffer.concat([head, Buffer.from('NVR1'), data, tail])
    }
    return out
  }

  it('parseHeader accepts or gives undefined, and what it accepts is within its limits', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.nat({ max: 80 }),
        fc.boolean(),
        (random, at, magic) => {
          if (magic)
            random.set(
              Buffer.from('NVR1').subarray(0, Math.max(0, random.length - at)),
              Math.min(at, random.length),
            )
          const header = parseHeader(random, at)
          if (header === undefined) return
          expect(at + 52).toBeLessThanOrEqual(random.length)
          expect(header.rawLength).toBeLessThanOrEqual(2 ** 28)
          expect(header.storedLength).toBeLessThanOrEqual(header.rawLength)
          expect(typeof headerHolds(random, at, 7)).toBe('boolean')
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('a scan of a mutated segment ends, and gives only records that were written', async () => {
    const { folder, contents } = await filledStore()
    const path = join(folder, 'segments', segmentFiles(folder)[0]!)
    const sound = readFileSync(path)
    const salt = sound.readUInt32LE(12)
    const keys = new Set(contents.map((content) => Buffer.from(keyOf(content)).toString('hex')))
    const scratch = join(temporaryFolder(), 'segment')
    fc.assert(
      fc.property(mutation, (steps) => {
        const mutated = mutate(sound, steps)
        writeFileSync(scratch, mutated)
        const descriptor = openSync(scratch, 'r')
        try {
          const scan = new SegmentScan(descriptor, 1, salt)
          let length = 0
          for (const record of scan.scan()) {
            length += 52 + record.payload.length
            if (record.kind === RecordKind.content) {
              expect(keys).toContain(Buffer.from(record.key).toString('hex'))
            }
          }
          const header = mutated.subarray(0, 16).equals(sound.subarray(0, 16)) ? 16 : 0
          expect(length + scan.skipped + header).toBe(mutated.length)
        } finally {
          closeSync(descriptor)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('a rebuild of mutated segments succeeds or throws EmbeddedStoreError', async () => {
    const { folder } = await filledStore()
    const path = join(folder, 'segments', segmentFiles(folder)[0]!)
    const sound = readFileSync(path)
    await fc.assert(
      fc.asyncProperty(mutation, fc.boolean(), async (steps, twice) => {
        writeFileSync(path, mutate(sound, steps))
        if (twice) cpSync(path, join(folder, 'segments/0000000009.seg'))
        try {
          const { segments, records } = await EmbeddedStore.rebuild(folder)
          expect(records).toBeLessThanOrEqual(14 * segments)
          await using store = await EmbeddedStore.open(folder)
          for (const key of store.contentKeys()) await store.readContent(key)
        } catch (error) {
          expect(error).toBeInstanceOf(EmbeddedStoreError)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('a segment full of things that look like records takes no longer than its length is worth', async () => {
    const folder = temporaryFolder()
    await (await EmbeddedStore.open(folder)).close()
    const header = Buffer.alloc(52)
    header.write('NVR1', 'latin1')
    header[8] = RecordKind.content
    header.writeUInt32LE(3_000_000, 12)
    header.writeUInt32LE(3_000_000, 16)
    const file = Buffer.alloc(8_000_000)
    for (let at = 16; at + 52 < file.length; at += 52) header.copy(file, at)
    writeFileSync(join(folder, 'segments/0000000001.seg'), file)
    rmSync(join(folder, 'tables'), { recursive: true })
    const started = process.cpuUsage()
    expect(await EmbeddedStore.rebuild(folder)).toMatchObject({ records: 0, skippedBytes: file.length })
    // Without a check of the headers themselves it would be the checksum of 450 GB.
    expect(process.cpuUsage(started).user).toBeLessThan(20e6)
  })
})
