import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DamagedRecordError, EmbeddedStore } from '@neve/embedded-store'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failure, keyOf, noise, prose, segmentFiles, temporaryFolder, writeAll } from './support.js'

const CONTENTS = [noise(40), prose(300), new Uint8Array(0), noise(150), prose(96), noise(1)]

async function smallStore(): Promise<{
  store: EmbeddedStore
  path: string
  sound: Buffer
  /** Where each record starts and ends in the segment. */
  ranges: { start: number; end: number }[]
  keys: Uint8Array[]
}> {
  const store = await EmbeddedStore.open(temporaryFolder())
  const keys = await writeAll(store, CONTENTS)
  const path = join(store.path, 'segments', segmentFiles(store.path)[0]!)
  const ranges = keys.map((key) => {
    const { offset, storedLength } = store.locate(key)!
    return { start: offset, end: offset + 52 + storedLength }
  })
  return { store, path, sound: readFileSync(path), ranges, keys }
}

/** Reads everything with one reader: right content, or which are damaged. */
function walk(store: EmbeddedStore, keys: readonly Uint8Array[]): number[] {
  const reader = store.contentReader()
  const damaged: number[] = []
  for (const [i, key] of keys.entries()) {
    try {
      const stored = reader.peek(key) ?? reader.readSync(key)!
      const content = new Uint8Array(stored.rawLength)
      expect(reader.expand(stored, content)).toBe(true)
      expect(Buffer.compare(content, CONTENTS[i]!), `content ${i} is right`).toBe(0)
    } catch (error) {
      expect(error).toBeInstanceOf(DamagedRecordError)
      expect(error).toMatchObject({ code: 'damaged', key: Buffer.from(key).toString('hex') })
      damaged.push(i)
    }
  }
  return damaged
}

describe('a segment with damage', () => {
  it('any byte flipped: its record is damaged, every other reads as it was', async () => {
    const { store, path, sound, ranges, keys } = await smallStore()
    for (let at = 0; at < sound.length; at++) {
      const bytes = Buffer.from(sound)
      bytes[at]! ^= 1 << (at % 8)
      writeFileSync(path, bytes)
      const expected = ranges.flatMap(({ start, end }, i) => (at >= start && at < end ? [i] : []))
      expect(walk(store, keys), `byte ${at}`).toEqual(expected)
    }
    await store.close()
  })

  it('cut at any byte: what lay behind is damaged', async () => {
    const { store, path, sound, ranges, keys } = await smallStore()
    for (let length = sound.length; length >= 0; length--) {
      truncateSync(path, length)
      expect(walk(store, keys), `length ${length}`).toEqual(
        ranges.flatMap(({ end }, i) => (end > length ? [i] : [])),
      )
    }
    await store.close()
  })

  it('bytes moved, doubled or taken from elsewhere in it: never wrong content', async () => {
    const { store, path, sound, keys } = await smallStore()
    const place = fc.nat({ max: sound.length })
    fc.assert(
      fc.property(place, place, fc.nat({ max: 300 }), (from, to, length) => {
        const bytes = Buffer.from(sound)
        sound.copy(bytes, to, from, from + length)
        writeFileSync(path, bytes)
        walk(store, keys)
      }),
      { numRuns: 300 },
    )
    await store.close()
  })

  it('many flips in headers: never wrong content', async () => {
    const { store, path, sound, ranges, keys } = await smallStore()
    const flip = fc.record({
      record: fc.nat({ max: ranges.length - 1 }),
      at: fc.nat({ max: 51 }),
      value: fc.integer({ min: 0, max: 255 }),
    })
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 20 }), (flips) => {
        const bytes = Buffer.from(sound)
        for (const { record, at, value } of flips) bytes[ranges[record]!.start + at] = value
        writeFileSync(path, bytes)
        const touched = ranges.flatMap(({ start, end }, i) =>
          bytes.subarray(start, end).equals(sound.subarray(start, end)) ? [] : [i],
        )
        expect(walk(store, keys)).toEqual(touched)
      }),
      { numRuns: 300 },
    )
    await store.close()
  })

  it('the index pointing to another record, after two were swapped: damaged', async () => {
    const { store, path, sound, ranges, keys } = await smallStore()
    const [a, b] = [ranges[0]!, ranges[3]!]
    const swapped = Buffer.concat([
      sound.subarray(0, a.start),
      sound.subarray(b.start, b.end),
      sound.subarray(a.end, b.start),
      sound.subarray(a.start, a.end),
      sound.subarray(b.end),
    ])
    writeFileSync(path, swapped)
    expect(walk(store, keys)).toEqual([0, 1, 2, 3])
    await store.close()
  })

  it('is missing: every record of it is damaged, asynchronously too', async () => {
    const { store, path, keys } = await smallStore()
    rmSync(path)
    await expect(store.readContent(keys[0]!)).rejects.toThrow(/segment 0000000001\.seg is damaged: .*missing/)
    expect(await failure(() => store.readContent(keys[1]!))).toBe('damaged')
    expect(walk(store, keys)).toEqual([0, 1, 2, 3, 4, 5])
    await store.close()
  })
})

describe('writing the content again heals', () => {
  it('a flipped byte, for this process, for a walk under way, and for others', async () => {
    const { store, path, sound, ranges, keys } = await smallStore()
    await using other = await EmbeddedStore.open(store.path, { readOnly: true })
    const bytes = Buffer.from(sound)
    bytes[ranges[1]!.start + 60]! ^= 1
    writeFileSync(path, bytes)
    expect(walk(store, keys)).toEqual([1])
    const reader = store.contentReader()
    reader.readSync(keys[0]!)
    expect(() => reader.readSync(keys[1]!)).toThrow(DamagedRecordError)
    await writeAll(store, [CONTENTS[1]!])
    expect(reader.readSync(keys[1]!)!.rawLength).toBe(300)
    expect(walk(store, keys)).toEqual([])
    // Its snapshot may be older: it looks again before it calls something damaged.
    expect(walk(other, keys)).toEqual([])
    await store.close()
    await using again = await EmbeddedStore.open(store.path)
    expect(walk(again, keys)).toEqual([])
  })

  it('a missing segment', async () => {
    const { store, path, keys } = await smallStore()
    await store.close()
    rmSync(path)
    await using again = await EmbeddedStore.open(store.path)
    expect(walk(again, keys)).toEqual([0, 1, 2, 3, 4, 5])
    await writeAll(again, CONTENTS)
    expect(walk(again, keys)).toEqual([])
  })

  it('a segment that is shorter than what was committed is not appended to', async () => {
    const { store, path, sound, keys } = await smallStore()
    await store.close()
    truncateSync(path, sound.length - 10)
    await using again = await EmbeddedStore.open(store.path)
    const [key] = await writeAll(again, [prose(5000)])
    expect(again.locate(key!)!.segment).toBe(2)
    expect(readFileSync(path).length).toBe(sound.length - 10)
    expect(walk(again, keys)).toEqual([5])
    expect(again.hasContent(keyOf(prose(5000)))).toBe(true)
  })

  it('a torn tail behind the committed length is cut off by the next writer', async () => {
    const { store, path, sound } = await smallStore()
    await store.close()
    writeFileSync(path, Buffer.concat([sound, noise(5000)]))
    await using again = await EmbeddedStore.open(store.path)
    const [key] = await writeAll(again, [noise(100)])
    expect(again.locate(key!)).toMatchObject({ segment: 1, offset: sound.length })
    expect(readFileSync(path).length).toBe(sound.length + 152)
  })
})
