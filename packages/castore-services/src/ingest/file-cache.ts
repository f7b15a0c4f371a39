import { blake3 } from '@neve/castore-model'

/**
 * The record of what the files of one folder looked like when they were imported, so that an unchanged file need not be
 * read again: inode, size, modification and change time (the kernel sets the change time; nothing can turn it back).
 */

/**
 * A record is a version, the device and the number of its entries, then an entry for each file in bytewise order of
 * their names: length and bytes of the name, inode, size, both times, whether it is executable, digest. All numbers are
 * little-endian.
 */
const VERSION = 1
const HEADER = 13
const FIXED = 4 * 8 + 1 + 32

/** The key of a folder's record: a digest of its absolute path. */
export function folderKey(path: Uint8Array): Uint8Array {
  return blake3.digest(path)
}

/** What a record holds of a file's inode and times, in milliseconds. */
export interface FileTimes {
  readonly inode: number
  readonly modified: number
  readonly changed: number
}

/** How many bytes an entry has beside those of the name. */
export const ENTRY_ROOM = 2 + FIXED

/** A file's entry in the record of its folder. */
export function encodeEntry(
  name: Uint8Array,
  size: number,
  executable: boolean,
  digest: Uint8Array,
  seen: FileTimes,
): Uint8Array {
  const bytes = Buffer.allocUnsafe(ENTRY_ROOM + name.length)
  writeEntry(bytes, 0, name, size, executable, digest, seen)
  return bytes
}

/** Writes what {@link encodeEntry} gives into `out`; gives the offset after it. */
export function writeEntry(
  out: Buffer,
  start: number,
  name: Uint8Array,
  size: number,
  executable: boolean,
  digest: Uint8Array,
  seen: FileTimes,
): number {
  let at = out.writeUInt16LE(name.length, start)
  for (let i = 0; i < name.length; i++) out[at++] = name[i]!
  at = out.writeDoubleLE(seen.inode, at)
  at = out.writeDoubleLE(size, at)
  at = out.writeDoubleLE(seen.modified, at)
  at = out.writeDoubleLE(seen.changed, at)
  out[at++] = executable ? 1 : 0
  for (let i = 0; i < 32; i++) out[at++] = digest[i]!
  return at
}

/** A folder's record: of entries of files on one device, in bytewise order of their names. */
export function encodeRecord(device: number, count: number, entries: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.allocUnsafe(HEADER)
  header[0] = VERSION
  header.writeDoubleLE(device, 1)
  header.writeUInt32LE(count, 9)
  return Buffer.concat([header, ...entries])
}

/** What is kept of one file. Times are in milliseconds with fractions. */
export class CachedFile implements FileTimes {
  readonly #record: Buffer
  /** Where its entry begins, and where that goes on behind the name. */
  readonly #start: number
  readonly #fixed: number

  constructor(record: Buffer, start: number, fixed: number) {
    this.#record = record
    this.#start = start
    this.#fixed = fixed
  }

  get inode(): number {
    return this.#record.readDoubleLE(this.#fixed)
  }

  get size(): number {
    return this.#record.readDoubleLE(this.#fixed + 8)
  }

  get modified(): number {
    return this.#record.readDoubleLE(this.#fixed + 16)
  }

  get changed(): number {
    return this.#record.readDoubleLE(this.#fixed + 24)
  }

  get executable(): boolean {
    return this.#record[this.#fixed + 32] === 1
  }

  get digest(): Uint8Array {
    return viewOf(this.#record, this.#fixed + 33, this.#fixed + FIXED)
  }

  /** All of this and the name, as it stands in the record. */
  get bytes(): Uint8Array {
    return viewOf(this.#record, this.#start, this.#fixed + FIXED)
  }
}

/** As `subarray`, which of a Buffer takes twice as long. */
function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

/** Reads a folder's record, in the order of its names. */
export class FolderRecord {
  readonly device: number
  readonly #bytes: Buffer
  #at = HEADER

  private constructor(bytes: Buffer) {
    this.device = bytes.readDoubleLE(1)
    this.#bytes = bytes
  }

  /** The record belongs to this from now on. One of another version, or a damaged one, is as good as none. */
  static decode(record: Uint8Array): FolderRecord | undefined {
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
    if (bytes.length < HEADER || bytes[0] !== VERSION) return undefined
    let at = HEADER
    for (let left = bytes.readUInt32LE(9); left > 0; left--) {
      if (at + 2 > bytes.length) return undefined
      at += 2 + bytes.readUInt16LE(at) + FIXED
      if (at > bytes.length) return undefined
    }
    return new FolderRecord(at === bytes.length ? bytes : bytes.subarray(0, at))
  }

  /** What is kept of a file. Names must be asked for in order. */
  find(name: Uint8Array): CachedFile | undefined {
    const bytes = this.#bytes
    while (this.#at < bytes.length) {
      const start = this.#at
      const fixed = start + 2 + bytes.readUInt16LE(start)
      const order = compareName(name, bytes, start + 2, fixed)
      if (order < 0) return undefined
      this.#at = fixed + FIXED
      if (order === 0) return new CachedFile(bytes, start, fixed)
    }
    return undefined
  }
}

/** How a name stands to that from `start` to `end`, bytewise. A loop is quicker than a call for what is so short. */
function compareName(name: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  const shared = Math.min(name.length, end - start)
  for (let i = 0; i < shared; i++) {
    const difference = name[i]! - bytes[start + i]!
    if (difference !== 0) return difference
  }
  return name.length - (end - start)
}

/** Filesystems of Linux whose times are at least as fine as {@link FINE_MARGIN}, by the number that `statfs(2)` gives. */
const FINE = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0xf2f52010, 0x2fc12fc1, 0x794c7630])
/** So long must a file have been unchanged when it was read for its times to tell of any later change, in milliseconds. */
const FINE_MARGIN = 50
const COARSE_MARGIN = 2500

/** The margin for a filesystem: a change within it might leave the times as they were. */
export function settlingTime(filesystemType: number): number {
  return FINE.has(filesystemType) ? FINE_MARGIN : COARSE_MARGIN
}
