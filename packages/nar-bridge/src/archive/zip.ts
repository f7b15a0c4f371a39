import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { ArchiveEntry, FilledEntry } from './archive-entry.js'
import { storedBlocks, storedBlocksLength } from './stored-blocks.js'

const LIMIT_16 = 0xffff
const LIMIT_32 = 0xffff_ffffn
/** Version 4.5 of the format, which knows sizes of 64 bits; made on Unix, so that modes count. */
const VERSION = 45
const MADE_BY = (3 << 8) | VERSION
const DEFLATE = 8
/** The checksum and the sizes follow the content. */
const FOLLOWS = 1 << 3
const UTF8 = 1 << 11
/** The first day that the format knows. */
const DATE = 0x21
const FIRST_BYTE = 0x10
const MODES = { directory: 0o40755, file: 0o100644, symlink: 0o120777 } as const

/** What of an entry stands in its headers. */
interface Member {
  readonly name: Buffer
  readonly flags: number
  readonly method: 0 | typeof DEFLATE
  readonly size: bigint
  /** Of the content as it stands in the archive. */
  readonly stored: bigint
  readonly mode: number
  readonly isDirectory: boolean
  /** Undefined until the content was read. */
  readonly crc: number | undefined
  readonly target: Uint8Array | undefined
}

/**
 * A zip archive (APPNOTE 6.3) whose contents are deflated without being compressed: so its length is known before, and
 * a reader that only reads forward finds where a file ends. The same entries give the same bytes. Each piece belongs to
 * the caller until it asks for the next.
 *
 * @param entries are written
 * @param again gives the same without contents, for the directory at the end of the archive, which is not held
 * @throws ZipNameError for a path of more than 65,535 bytes
 */
export async function* zipArchive(
  entries: AsyncIterable<FilledEntry>,
  again: () => AsyncIterable<ArchiveEntry>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const checksums = new Checksums()
  for await (const entry of entries) {
    const member = memberOf(entry)
    yield localHeader(member)
    if (member.target !== undefined) yield member.target
    if (entry.content === undefined || member.method !== DEFLATE) continue
    let crc = 0
    for await (const piece of storedBlocks(entry.content, entry.size, (content) => {
      crc = crc32(content, crc)
    })) {
      yield piece
    }
    checksums.add(crc)
    yield trailer(member, crc)
  }
  const place = new Place()
  let known = 0
  for await (const entry of again()) {
    const member = memberOf(entry)
    yield place.add(member, member.crc ?? checksums.at(known++))
  }
  yield place.end()
}

/** How long that archive is, in bytes. */
export async function zipLength(entries: AsyncIterable<ArchiveEntry>): Promise<bigint> {
  const place = new Place()
  for await (const entry of entries) place.add(memberOf(entry), 0)
  return place.start + place.length + BigInt(place.end().length)
}

/** A path is longer than the format allows. */
export class ZipNameError extends Error {
  override readonly name = 'ZipNameError'
  readonly code = 'name-too-long'

  constructor(readonly length: number) {
    super(`a path of ${length} bytes, expected at most ${LIMIT_16} in a zip archive`)
  }
}

function memberOf({ path, kind, executable, size, target }: ArchiveEntry): Member {
  const isDirectory = kind === 'directory'
  const name = isDirectory ? Buffer.concat([path, Buffer.from('/')]) : Buffer.from(path)
  if (name.length > LIMIT_16) throw new ZipNameError(name.length)
  const method = size > 0n ? DEFLATE : 0
  return {
    name,
    flags: (method === DEFLATE ? FOLLOWS : 0) | (isUtf8(name) ? UTF8 : 0),
    method,
    size: target === undefined ? size : BigInt(target.length),
    stored: target === undefined ? storedBlocksLength(size) : BigInt(target.length),
    mode: executable ? 0o100755 : MODES[kind],
    isDirectory,
    crc: method === DEFLATE ? undefined : crc32(target ?? Buffer.alloc(0)),
    target,
  }
}

/** Whether the sizes need 64 bits. */
function isLarge({ size, stored }: Member): boolean {
  return size >= LIMIT_32 || stored >= LIMIT_32
}

function localHeader(member: Member): Buffer {
  const { name, flags, method, size, stored, crc = 0 } = member
  const large = isLarge(member)
  const known = method !== DEFLATE
  const extra = large ? wide([0n, 0n]) : Buffer.alloc(0)
  const block = Buffer.alloc(30)
  block.writeUInt32LE(0x04034b50, 0)
  block.writeUInt16LE(VERSION, 4)
  block.writeUInt16LE(flags, 6)
  block.writeUInt16LE(method, 8)
  block.writeUInt16LE(DATE, 12)
  block.writeUInt32LE(crc, 14)
  block.writeUInt32LE(large ? Number(LIMIT_32) : known ? Number(stored) : 0, 18)
  block.writeUInt32LE(large ? Number(LIMIT_32) : known ? Number(size) : 0, 22)
  block.writeUInt16LE(name.length, 26)
  block.writeUInt16LE(extra.length, 28)
  return Buffer.concat([block, name, extra])
}

function localLength(member: Member): bigint {
  const head = 30 + member.name.length + (isLarge(member) ? 20 : 0)
  const tail = member.method !== DEFLATE ? 0 : isLarge(member) ? 24 : 16
  return BigInt(head) + member.stored + BigInt(tail)
}

function trailer(member: Member, crc: number): Buffer {
  const large = isLarge(member)
  const block = Buffer.alloc(large ? 24 : 16)
  block.writeUInt32LE(0x08074b50, 0)
  block.writeUInt32LE(crc, 4)
  if (large) {
    block.writeBigUInt64LE(member.stored, 8)
    block.writeBigUInt64LE(member.size, 16)
  } else {
    block.writeUInt32LE(Number(member.stored), 8)
    block.writeUInt32LE(Number(member.size), 12)
  }
  return block
}

/** The extra field of numbers that need 64 bits. */
function wide(numbers: readonly bigint[]): Buffer {
  const field = Buffer.alloc(4 + 8 * numbers.length)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(8 * numbers.length, 2)
  for (const [i, number] of numbers.entries()) field.writeBigUInt64LE(number, 4 + 8 * i)
  return field
}

/** Where in the archive things are, once all local ones are written: writes the directory at its end. */
class Place {
  /** Where the directory begins. */
  start = 0n
  length = 0n
  #count = 0n

  add(member: Member, crc: number): Buffer {
    const { name, flags, method, size, stored, mode, isDirectory } = member
    const numbers = [size, stored, this.start]
    const extra = numbers.some((number) => number >= LIMIT_32)
      ? wide(numbers.filter((number) => number >= LIMIT_32))
      : Buffer.alloc(0)
    const block = Buffer.alloc(46)
    block.writeUInt32LE(0x02014b50, 0)
    block.writeUInt16LE(MADE_BY, 4)
    block.writeUInt16LE(VERSION, 6)
    block.writeUInt16LE(flags, 8)
    block.writeUInt16LE(method, 10)
    block.writeUInt16LE(DATE, 14)
    block.writeUInt32LE(crc, 16)
    block.writeUInt32LE(clamped(stored), 20)
    block.writeUInt32LE(clamped(size), 24)
    block.writeUInt16LE(name.length, 28)
    block.writeUInt16LE(extra.length, 30)
    block.writeUInt32LE(((mode << 16) | (isDirectory ? FIRST_BYTE : 0)) >>> 0, 38)
    block.writeUInt32LE(clamped(this.start), 42)
    const header = Buffer.concat([block, name, extra])
    this.start += localLength(member)
    this.length += BigInt(header.length)
    this.#count++
    return header
  }

  end(): Buffer {
    const { start, length } = this
    const block = Buffer.alloc(22)
    const count = this.#count < BigInt(LIMIT_16) ? Number(this.#count) : LIMIT_16
    block.writeUInt32LE(0x06054b50, 0)
    block.writeUInt16LE(count, 8)
    block.writeUInt16LE(count, 10)
    block.writeUInt32LE(clamped(length), 12)
    block.writeUInt32LE(clamped(start), 16)
    const isLarge = this.#count >= BigInt(LIMIT_16) || length >= LIMIT_32 || start >= LIMIT_32
    return isLarge ? Buffer.concat([this.#wideEnd(), block]) : block
  }

  #wideEnd(): Buffer {
    const record = Buffer.alloc(56)
    record.writeUInt32LE(0x06064b50, 0)
    record.writeBigUInt64LE(44n, 4)
    record.writeUInt16LE(MADE_BY, 12)
    record.writeUInt16LE(VERSION, 14)
    record.writeBigUInt64LE(this.#count, 24)
    record.writeBigUInt64LE(this.#count, 32)
    record.writeBigUInt64LE(this.length, 40)
    record.writeBigUInt64LE(this.start, 48)
    const locator = Buffer.alloc(20)
    locator.writeUInt32LE(0x07064b50, 0)
    locator.writeBigUInt64LE(this.start + this.length, 8)
    locator.writeUInt32LE(1, 16)
    return Buffer.concat([record, locator])
  }
}

function clamped(number: bigint): number {
  return Number(number < LIMIT_32 ? number : LIMIT_32)
}

/** The checksums of all files: four bytes each are what has to be held. */
class Checksums {
  #all = new Uint32Array(1024)
  #count = 0

  add(crc: number): void {
    if (this.#count === this.#all.length) {
      const larger = new Uint32Array(2 * this.#all.length)
      larger.set(this.#all)
      this.#all = larger
    }
    this.#all[this.#count++] = crc
  }

  at(index: number): number {
    return this.#all[index]!
  }
}
