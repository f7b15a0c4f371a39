import type { ByteSource } from './byte-source.js'
import { ArchiveError } from './errors.js'
import { type CheckedLimits, checkLimit } from './limits.js'
import { decimal, type PaxRecords, type SparseRecord } from './pax.js'
import { BLOCK, numberField, type TarHeader } from './tar-header.js'

/** Where the bytes of a sparse file belong; all others are zeros. */
export interface SparseMap {
  /** Length of the file with its holes, in bytes. */
  readonly realSize: number
  /** In order, without overlap, as many bytes as the archive has of the file. */
  readonly segments: readonly SparseSegment[]
}

/** A part of a sparse file that is not a hole. */
export interface SparseSegment {
  readonly offset: number
  readonly length: number
}

/** What a reader of sparse files works with. */
export interface SparseContext {
  readonly source: ByteSource
  readonly limits: CheckedLimits
  readonly about: { readonly entry: Uint8Array; readonly offset: number }
  /** Takes blocks of the entry's own, which its size does not count. */
  readonly readBlock: () => Promise<Uint8Array>
}

const REAL_SIZE = { at: 483, length: 12, name: 'real size' }
const HEADER_SEGMENTS = { at: 386, count: 4, more: 482 }
const BLOCK_SEGMENTS = { at: 0, count: 21, more: 504 }
const SEGMENT_LENGTH = 24

/** The map of an entry of type `S`, which goes on in blocks behind the header. */
export async function readGnuMap(header: TarHeader, context: SparseContext): Promise<SparseMap> {
  const { about, limits } = context
  if (header.dialect !== 'gnu') {
    throw new ArchiveError('sparse', 'a sparse file in a form other than that of GNU tar', about)
  }
  const segments: SparseSegment[] = []
  let { block } = header
  let layout = HEADER_SEGMENTS
  for (let size = BLOCK; ; size += BLOCK) {
    for (let i = 0; i < layout.count; i++) {
      const at = layout.at + i * SEGMENT_LENGTH
      if (block[at + 12] === 0) break
      segments.push({
        offset: numberField(block, { at, length: 12, name: 'offset of a piece' }, about),
        length: numberField(block, { at: at + 12, length: 12, name: 'length of a piece' }, about),
      })
    }
    if (block[layout.more] === 0) break
    checkLimit(limits, 'maxHeaderSize', size, 'bytes of the list of pieces', about)
    block = await context.readBlock()
    layout = BLOCK_SEGMENTS
  }
  const realSize = numberField(header.block, REAL_SIZE, about)
  return checkedMap({ realSize, segments }, header.size, about)
}

/**
 * The map of a file whose PAX header has records for it: all of it in the records (0.0 and 0.1), or at the start of
 * the content (1.0).
 *
 * @param size bytes of content in the archive
 * @returns the map, and how many bytes it took of the content
 */
export async function readPaxMap(
  { sparse }: PaxRecords,
  size: number,
  context: SparseContext,
): Promise<{ readonly map: SparseMap; readonly taken: number }> {
  const { about } = context
  const last = (key: string): Uint8Array | undefined => sparse.findLast((record) => record.key === key)?.value
  const realSize = last('realsize') ?? last('size')
  if (realSize === undefined) {
    throw new ArchiveError('sparse', 'a sparse file without its real size', about)
  }
  const real = decimal(realSize, 'real size of a sparse file', about.offset)
  const major = last('major')
  if (major !== undefined) {
    const version = `${text(major)}.${text(last('minor') ?? new Uint8Array(0))}`
    if (version !== '1.0') {
      throw new ArchiveError('sparse', `sparse files of version ${version}: expected 1.0 or less`, about)
    }
    const { segments, taken } = await readContentMap(size, context)
    return { map: checkedMap({ realSize: real, segments }, size - taken, about), taken }
  }
  const map = last('map')
  const numbers =
    map === undefined ? pairs(sparse, about.offset) : listed(map, about.offset, 'map of a sparse file')
  return { map: checkedMap({ realSize: real, segments: paired(numbers, about) }, size, about), taken: 0 }
}

/** The file name that version 0.1 and 1.0 keep beside that of the entry, which is made up. */
export function sparseName({ sparse }: PaxRecords): Uint8Array | undefined {
  return sparse.findLast(({ key }) => key === 'name')?.value
}

/** Version 0.0: the same two keys again and again. */
function pairs(sparse: readonly SparseRecord[], offset: number): number[] {
  const numbers: number[] = []
  for (const { key, value } of sparse) {
    if (key !== 'offset' && key !== 'numbytes') continue
    if ((numbers.length % 2 === 0) !== (key === 'offset')) {
      throw new ArchiveError('sparse', `pieces of a sparse file out of order: unexpected ${key}`, { offset })
    }
    numbers.push(decimal(value, key, offset))
  }
  return numbers
}

/** Version 0.1: numbers with commas between. */
function listed(value: Uint8Array, offset: number, what: string): number[] {
  if (value.length === 0) return []
  return text(value)
    .split(',')
    .map((number) => decimal(Buffer.from(number, 'latin1'), what, offset))
}

function paired(
  numbers: readonly number[],
  about: { readonly entry: Uint8Array; readonly offset: number },
): SparseSegment[] {
  if (numbers.length % 2 !== 0) {
    throw new ArchiveError('sparse', 'the list of pieces ends in the middle of one', about)
  }
  const segments: SparseSegment[] = []
  for (let i = 0; i < numbers.length; i += 2) {
    segments.push({ offset: numbers[i]!, length: numbers[i + 1]! })
  }
  return segments
}

const NEWLINE = 0x0a
/** Digits of a number below 2^53. */
const MAX_DIGITS = 16

/** Version 1.0: lines of numbers in blocks of their own before the content, their count first. */
async function readContentMap(
  size: number,
  { source, limits, about }: SparseContext,
): Promise<{ readonly segments: readonly SparseSegment[]; readonly taken: number }> {
  const numbers: number[] = []
  let expected: number | undefined
  let digits: number[] = []
  let taken = 0
  while (expected === undefined || numbers.length < expected) {
    checkLimit(limits, 'maxHeaderSize', taken + BLOCK, 'bytes of the list of pieces', about)
    if (taken + BLOCK > size) {
      throw new ArchiveError('sparse', `the list of pieces does not end within ${size} bytes`, about)
    }
    const block = await source.upTo(BLOCK)
    if (block.length < BLOCK) {
      throw new ArchiveError('truncated', 'the archive ends within the list of pieces', about)
    }
    taken += BLOCK
    for (const byte of block) {
      if (byte !== NEWLINE) {
        digits.push(byte)
        if (digits.length > MAX_DIGITS) {
          throw new ArchiveError('sparse', 'expected numbers as the list of pieces', about)
        }
        continue
      }
      const number = decimal(Uint8Array.from(digits), 'number of the list of pieces', about.offset)
      digits = []
      if (expected !== undefined) numbers.push(number)
      else expected = number * 2
      if (numbers.length === expected) break
    }
  }
  return { segments: paired(numbers, about), taken }
}

function checkedMap(
  map: SparseMap,
  size: number,
  about: { readonly entry: Uint8Array; readonly offset: number },
): SparseMap {
  let end = 0
  let stored = 0
  for (const { offset, length } of map.segments) {
    if (offset < end) {
      throw new ArchiveError('sparse', `a piece at ${offset} overlaps the one before, to ${end}`, about)
    }
    end = offset + length
    stored += length
    if (end > map.realSize) {
      throw new ArchiveError('sparse', `a piece to ${end} in a file of ${map.realSize} bytes`, about)
    }
  }
  if (stored !== size) {
    throw new ArchiveError('sparse', `pieces of ${stored} bytes in all, but ${size} of content`, about)
  }
  return map
}

const ZEROS = new Uint8Array(65_536)

/**
 * The content with its holes filled.
 *
 * @param take gives up to so many bytes of the stored content, at least one
 */
export async function* expanded(
  { realSize, segments }: SparseMap,
  take: (most: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0
  for (const { offset, length } of segments) {
    yield* zeros(offset - at)
    for (let left = length; left > 0; ) {
      const piece = await take(left)
      left -= piece.length
      yield piece
    }
    at = offset + length
  }
  yield* zeros(realSize - at)
}

function* zeros(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length)
    yield ZEROS.subarray(0, Math.min(left, ZEROS.length))
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString('latin1')
}
