import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
  statfsSync,
} from 'node:fs'
import { B3Digest, type Blake3Hasher, blake3 } from '@neve/castore-model'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { Cutter, chunkSizes } from '@neve/fastcdc'
import type { TaskRunner } from '../concurrency/slot-threads.js'
import { type CachedFolder, decodeFolder, folderKey, settlingTime } from './file-cache.js'
import { FileResultsWriter } from './file-results.js'
import {
  ABANDON,
  type ChunkResult,
  type FileFailure,
  type FileSeen,
  type Framing,
  LARGE_FILE,
  type PackResult,
  type PackTask,
  type ReadFilesResult,
  type ReadFilesTask,
  type ScanResult,
  type ScanTask,
  SLOT_RAW,
  type Task,
  type TaskResult,
} from './file-tasks-protocol.js'
import { wrongType } from './file-type.js'
import { foldersOf } from './folder-paths.js'
import { Packer, type PackerContext } from './packer.js'

const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const EMPTY = B3Digest.EMPTY.bytes
const NO_CHUNKS: readonly ChunkResult[] = []

interface Scan {
  readonly descriptor: number
  readonly before: Stats
  readonly hasher: Blake3Hasher
}

/**
 * The work on files: reading, hashing, cutting and framing. Synchronous throughout, so that it can run in a worker
 * thread, or where it was called for a tree that is not worth a thread.
 */
export class FileTasks implements PackerContext, TaskRunner<Task, TaskResult> {
  readonly #salt: number | undefined
  #engine: EmbeddedStore | undefined
  #lookUp = false
  #cutter = new Cutter()
  #framing: Framing
  readonly #scans = new Map<number, Scan>()
  readonly #settling = new Map<number, number>()
  #reader: ContentReader | undefined

  /**
   * @param salt of the store that records are framed for; undefined where there is none
   * @param engine where tasks look content up that say so; see {@link FileTasks.engine}
   */
  constructor(salt: number | undefined, engine?: EmbeddedStore) {
    this.#salt = salt
    this.#engine = engine
  }

  /** The store to look content up in: needed from the first task on that says `lookUp`. */
  get engine(): EmbeddedStore | undefined {
    return this.#engine
  }

  set engine(engine: EmbeddedStore) {
    this.#engine = engine
  }

  run(task: Task): TaskResult {
    this.#lookUp = task.type !== 'scan' && task.lookUp
    this.#framing = task.framing
    const average = typeof task.framing === 'number' ? task.framing : chunkSizes().average
    if (average !== this.#cutter.sizes.average) this.#cutter = new Cutter(chunkSizes(average))
    if (task.type === 'read') return this.#readFiles(task)
    if (task.type === 'scan') return this.#scan(task)
    return this.#pack(task)
  }

  /** Closes the files of scans that were not finished. */
  close(): void {
    for (const scan of this.#scans.values()) closeSync(scan.descriptor)
    this.#scans.clear()
  }

  #readFiles(task: ReadFilesTask): ReadFilesResult {
    const { raw } = task.slot
    const packer = new Packer(task.slot.packed, this)
    const results = new FileResultsWriter()
    let used = 0
    let index = 0
    for (const folder of foldersOf(task.paths)) {
      let cached: CachedFolder | undefined | null = null
      for (const name of folder.names) {
        if (index++ < task.skip) continue
        const path = folder.child(name)
        let descriptor: number | undefined
        try {
          if (task.useFileCache) {
            if (cached === null) cached = this.#cachedFolder(folder.path)
            if (cached !== undefined && this.#unchanged(path, name, cached, results)) continue
          }
          descriptor = openSync(path, OPEN_FLAGS)
          const stat = fstatSync(descriptor)
          if (!stat.isFile()) return results.finish(wrongType(path, stat))
          const { size } = stat
          const executable = (stat.mode & 0o100) !== 0
          const seen = this.#seen(path, stat)
          if (size > LARGE_FILE) {
            results.file({ size, executable, digest: undefined, rawOffset: -1, large: true }, seen, 0)
            continue
          }
          if (used + size + 1 > SLOT_RAW || !packer.fits(size)) return results.finish(undefined)
          const read = readUpTo(descriptor, raw, used, size + 1)
          if (read !== size) return results.finish(changed(path, size, read))
          const content = raw.subarray(used, used + size)
          const digest = size === 0 ? EMPTY : blake3.digest(content)
          const packs = this.#framing !== undefined && size > 0
          const chunks = packs ? packer.file(digest, content) : NO_CHUNKS
          results.file({ size, executable, digest, rawOffset: used, large: false }, seen, chunks.length)
          for (const chunk of chunks) results.chunk(chunk)
          used += size
        } catch (error) {
          return results.finish({ kind: 'read', path: Buffer.from(path), message: messageOf(error) })
        } finally {
          if (descriptor !== undefined) closeSync(descriptor)
        }
      }
    }
    return results.finish(undefined)
  }

  #scan(task: ScanTask): ScanResult {
    const { raw } = task.slot
    const id = task.scan
    if (task.offset === ABANDON) return this.#endScan(id, undefined)
    let scan = this.#scans.get(id)
    try {
      if (scan === undefined) {
        const descriptor = openSync(task.path as Buffer, OPEN_FLAGS)
        const before = fstatSync(descriptor)
        scan = { descriptor, before, hasher: blake3.hasher() }
        this.#scans.set(id, scan)
        if (!before.isFile()) return this.#endScan(id, wrongType(task.path, before))
      }
      const { descriptor, before, hasher } = scan
      const left = before.size - task.offset
      const final = left <= SLOT_RAW - 1
      const read = readUpTo(descriptor, raw, 0, final ? left + 1 : SLOT_RAW, task.offset)
      if (final ? read !== left : read !== SLOT_RAW) {
        return this.#endScan(id, changed(task.path, before.size, task.offset + read))
      }
      const lengths: number[] = []
      let used = 0
      while (used < read) {
        const length = this.#cutter.cut(raw, used, read, final)
        if (length === 0) break
        lengths.push(length)
        used += length
      }
      hasher.update(raw.subarray(0, used))
      if (!final) return { lengths, used, end: undefined, failure: undefined }
      const after = fstatSync(descriptor)
      if (after.mtimeMs !== before.mtimeMs || after.size !== before.size) {
        return this.#endScan(id, changed(task.path, before.size, after.size))
      }
      this.#endScan(id, undefined)
      const seen = this.#seen(task.path, before)
      return {
        lengths,
        used,
        end: { digest: hasher.digest(), executable: (before.mode & 0o100) !== 0, seen },
        failure: undefined,
      }
    } catch (error) {
      return this.#endScan(id, { kind: 'read', path: task.path, message: messageOf(error) })
    }
  }

  #endScan(id: number, failure: FileFailure | undefined): ScanResult {
    const scan = this.#scans.get(id)
    if (scan !== undefined) closeSync(scan.descriptor)
    this.#scans.delete(id)
    return { lengths: [], used: 0, end: undefined, failure }
  }

  #pack(task: PackTask): PackResult {
    const { raw } = task.slot
    const packer = new Packer(task.slot.packed, this)
    const chunks: ChunkResult[] = []
    let at = 0
    for (const length of task.lengths) {
      const content = raw.subarray(at, at + length)
      chunks.push(packer.chunk(blake3.digest(content), content))
      at += length
    }
    return { chunks }
  }

  /** The chunks of a file that has more than one. */
  cut(content: Uint8Array): number[] {
    const lengths: number[] = []
    for (let at = 0; at < content.length; ) {
      const length = this.#cutter.cut(content, at, content.length, true)
      lengths.push(length)
      at += length
    }
    return lengths
  }

  get minimumChunk(): number {
    return this.#cutter.sizes.min
  }

  get salt(): number | undefined {
    return this.#framing === 'records' ? (this.#salt ?? 0) : undefined
  }

  /** Whether this content is stored, and stored soundly: what is damaged is written again. */
  isStored(digest: Uint8Array): boolean {
    if (!this.#lookUp || this.#engine === undefined) return false
    this.#reader ??= this.#engine.contentReader()
    try {
      return (this.#reader.peek(digest) ?? this.#reader.readSync(digest)) !== undefined
    } catch {
      return false
    }
  }

  #cachedFolder(path: Uint8Array): CachedFolder | undefined {
    const record = this.#engine?.get('files', folderKey(path))
    return record === undefined ? undefined : decodeFolder(record)
  }

  #unchanged(path: Buffer, name: Buffer, folder: CachedFolder, results: FileResultsWriter): boolean {
    const known = folder.files.get(name.toString('latin1'))
    if (known === undefined) return false
    const stat = lstatSync(path)
    const same =
      stat.isFile() &&
      stat.size === known.size &&
      stat.ino === known.inode &&
      stat.dev === folder.device &&
      stat.mtimeMs === known.modified &&
      stat.ctimeMs === known.changed
    if (!same || !this.#isWhole(known.digest, known.size)) return false
    const { size, executable, digest } = known
    const seen = { device: stat.dev, inode: stat.ino, modified: stat.mtimeMs, changed: stat.ctimeMs }
    results.file({ size, executable, digest, rawOffset: -1, large: false }, seen, 0)
    return true
  }

  #isWhole(digest: Uint8Array, size: number): boolean {
    if (size === 0) return true
    if (size <= this.minimumChunk) return this.isStored(digest)
    const list = this.#engine?.get('blobs', digest)
    if (list === undefined) return this.isStored(digest)
    for (let at = 0; at < list.length; at += 36) {
      if (!this.isStored(list.subarray(at, at + 32))) return false
    }
    return true
  }

  /** What to remember of a file: nothing if it changed so recently that another change might go unseen. */
  #seen(path: Uint8Array, stat: Stats): FileSeen | undefined {
    let settling = this.#settling.get(stat.dev)
    if (settling === undefined) {
      try {
        settling = settlingTime(statfsSync(path as Buffer).type)
      } catch {
        settling = Number.POSITIVE_INFINITY
      }
      this.#settling.set(stat.dev, settling)
    }
    if (Date.now() - Math.max(stat.ctimeMs, stat.mtimeMs) < settling) return undefined
    return { device: stat.dev, inode: stat.ino, modified: stat.mtimeMs, changed: stat.ctimeMs }
  }
}

function readUpTo(
  descriptor: number,
  out: Uint8Array,
  at: number,
  length: number,
  position?: number,
): number {
  let done = 0
  while (done < length) {
    const read = readSync(
      descriptor,
      out,
      at + done,
      length - done,
      position === undefined ? null : position + done,
    )
    if (read === 0) break
    done += read
    // A short read at the announced end is the end: it need not be asked for again.
    if (done === length - 1 && position === undefined) break
  }
  return done
}

function changed(path: Uint8Array, expected: number, actual: number): FileFailure {
  return { kind: 'changed', path: new Uint8Array(path), message: `expected ${expected} bytes, got ${actual}` }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
