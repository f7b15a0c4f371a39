import { blake3 } from '@neve/castore-model'

/**
 * The record of what the files of one folder looked like when they were imported, so that an unchanged file need not be
 * read again: inode, size, modification and change time (the kernel sets the change time; nothing can turn it back).
 */

/** What is kept of one file. Times are in milliseconds with fractions. */
export interface CachedFile {
  readonly inode: number
  readonly size: number
  readonly modified: number
  readonly changed: number
  readonly executable: boolean
  readonly digest: Uint8Array
}

/** What is kept of one folder: files by their name as latin1 text. */
export interface CachedFolder {
  readonly device: number
  readonly files: ReadonlyMap<string, CachedFile>
}

const VERSION = 1
const HEADER = 13
const FIXED = 2 + 4 * 8 + 1 + 32

/** The key of a folder's record: a digest of its absolute path. */
export function folderKey(path: Uint8Array): Uint8Array {
  return blake3.digest(path)
}

/** Builds a folder's record file by file. */
export class FolderRecordWriter {
  #bytes = Buffer.allocUnsafe(4096)
  #at = HEADER
  #count = 0

  get count(): number {
    return this.#count
  }

  add(name: Uint8Array, size: number, executable: boolean, digest: Uint8Array, seen: FileTimes): void {
    const needed = FIXED + name.length
    if (this.#at + needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + needed))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    const bytes = this.#bytes
    bytes.writeUInt16LE(name.length, this.#at)
    bytes.set(name, this.#at + 2)
    const at = this.#at + 2 + name.length
    bytes.writeDoubleLE(seen.inode, at)
    bytes.writeDoubleLE(size, at + 8)
    bytes.writeDoubleLE(seen.modified, at + 16)
    bytes.writeDoubleLE(seen.changed, at + 24)
    bytes[at + 32] = executable ? 1 : 0
    bytes.set(digest, at + 33)
    this.#at = at + 65
    this.#count++
  }

  finish(device: number): Uint8Array {
    this.#bytes[0] = VERSION
    this.#bytes.writeDoubleLE(device, 1)
    this.#bytes.writeUInt32LE(this.#count, 9)
    return Buffer.from(this.#bytes.subarray(0, this.#at))
  }
}

/** What the writer needs of a file's times, in milliseconds, and its inode. */
export interface FileTimes {
  readonly inode: number
  readonly modified: number
  readonly changed: number
}

/** Reads a record back. One of another version, or a damaged one, is as good as none. */
export function decodeFolder(bytes: Uint8Array): CachedFolder | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < 13 || view[0] !== VERSION) return undefined
  const files = new Map<string, CachedFile>()
  let at = 13
  for (let left = view.readUInt32LE(9); left > 0; left--) {
    if (at + 2 > view.length) return undefined
    const nameLength = view.readUInt16LE(at)
    const fixed = at + 2 + nameLength
    if (fixed + 65 > view.length) return undefined
    files.set(view.toString('latin1', at + 2, fixed), {
      inode: view.readDoubleLE(fixed),
      size: view.readDoubleLE(fixed + 8),
      modified: view.readDoubleLE(fixed + 16),
      changed: view.readDoubleLE(fixed + 24),
      executable: view[fixed + 32] === 1,
      digest: view.subarray(fixed + 33, fixed + 65),
    })
    at = fixed + 65
  }
  return { device: view.readDoubleLE(1), files }
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
