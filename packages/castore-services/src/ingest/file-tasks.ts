import { closeSync, fstatSync, openSync, type Stats } from 'node:fs'
import { type Blake3Hasher, blake3 } from '@neve/castore-model'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { Cutter, chunkSizes } from '@neve/fastcdc'
import type { TaskRunner } from '../concurrency/slot-threads.js'
import { OPEN_FLAGS } from './file-calls.js'
import {
  ABANDON,
  type ChunkResult,
  type FileFailure,
  type Framing,
  type PackFilesResult,
  type PackFilesTask,
  type PackResult,
  type PackTask,
  type ScanResult,
  type ScanTask,
  SLOT_RAW,
  type Task,
  type TaskResult,
} from './file-tasks-protocol.js'
import { wrongType } from './file-type.js'
import { PackedFilesWriter } from './packed-files.js'
import { Packer, type PackerContext } from './packer.js'
import { changed, messageOf, readUpTo, TreeReader, type TreeReaderContext } from './tree-reader.js'

interface Scan {
  readonly descriptor: number
  readonly before: Stats
  readonly hasher: Blake3Hasher
}

/**
 * The work on files: reading, hashing, cutting and framing. Synchronous throughout, so that it can run in a worker
 * thread, or where it was called for a tree that is not worth a thread.
 */
export class FileTasks implements TreeReaderContext, PackerContext, TaskRunner<Task, TaskResult> {
  readonly #salt: number | undefined
  #engine: EmbeddedStore | undefined
  #lookUp = false
  #cutter = new Cutter()
  #framing: Framing
  readonly #scans = new Map<number, Scan>()
  #stored: ContentReader | undefined
  readonly #reader = new TreeReader(this)

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
    if (task.type === 'read') return this.#reader.run(task)
    this.#framing = task.framing
    const average = typeof task.framing === 'number' ? task.framing : chunkSizes().average
    if (average !== this.#cutter.sizes.average) this.#cutter = new Cutter(chunkSizes(average))
    if (task.type === 'scan') return this.#scan(task)
    return task.type === 'pack' ? this.#pack(task) : this.#packFiles(task)
  }

  /** Closes the files of scans that were not finished. */
  close(): void {
    for (const scan of this.#scans.values()) closeSync(scan.descriptor)
    this.#scans.clear()
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
      const seen = this.#reader.seen(task.path, before)
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

  #packFiles({ slot, contents, digests }: PackFilesTask): PackFilesResult {
    const { raw } = slot
    const packer = new Packer(slot.packed, this)
    const packed = new PackedFilesWriter()
    for (let n = 0, d = 0; n < contents.length; n += 2, d += 32) {
      const size = contents[n]!
      const content = new Uint8Array(raw.buffer, raw.byteOffset + contents[n + 1]!, size)
      packed.content(size === 0 ? [] : packer.file(digests.subarray(d, d + 32), content))
    }
    return packed.finish()
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
    this.#stored ??= this.#engine.contentReader()
    try {
      if (this.#engine.isCondemned('content', digest)) return false
      return (this.#stored.peek(digest) ?? this.#stored.readSync(digest)) !== undefined
    } catch {
      return false
    }
  }

  folderRecord(key: Uint8Array): Uint8Array | undefined {
    return this.#engine?.get('files', key)
  }

  isWhole(digest: Uint8Array, size: number): boolean {
    if (size === 0) return true
    if (size <= chunkSizes().min) return this.isStored(digest)
    if (this.#engine?.isCondemned('blobs', digest) === true) return false
    const list = this.#engine?.get('blobs', digest)
    if (list === undefined) return this.isStored(digest)
    for (let at = 0; at < list.length; at += 36) {
      if (!this.isStored(list.subarray(at, at + 32))) return false
    }
    return true
  }
}
