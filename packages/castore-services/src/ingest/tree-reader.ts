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
import { B3Digest, blake3, encodeNode } from '@neve/castore-model'
import { encodeEntry, FolderRecord, folderKey, settlingTime } from './file-cache.js'
import {
  type ChunkResult,
  type FileFailure,
  type FileSeen,
  LARGE_FILE,
  type ReadTreeResult,
  type ReadTreeTask,
} from './file-tasks-protocol.js'
import { wrongType } from './file-type.js'
import { FolderPath } from './folder-path.js'
import { Packer, type PackerContext } from './packer.js'
import { StreamFramer } from './stream-framer.js'
import { TreeResultsWriter } from './tree-results.js'
import { Step, StepReader } from './tree-steps.js'

export const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const EMPTY = B3Digest.EMPTY.bytes
const NO_CHUNKS: readonly ChunkResult[] = []

/** What a reader of trees asks of what it reads for. */
export interface TreeReaderContext extends PackerContext {
  /** Whether contents are packed at all. */
  readonly packs: boolean
  /** The record of a folder's last import. */
  folderRecord(key: Uint8Array): Uint8Array | undefined
  /** Whether a blob is stored, and stored soundly. */
  isWhole(digest: Uint8Array, size: number): boolean
}

/** Reads stretches of a tree into slots: files whole, with all that the main thread needs of them. */
export class TreeReader {
  readonly #context: TreeReaderContext
  readonly #results = new TreeResultsWriter()
  readonly #settling = new Map<number, number>()
  /** The record of the folder at hand: undefined where there is none, null where that is not known yet. */
  #record: FolderRecord | undefined | null = null

  constructor(context: TreeReaderContext) {
    this.#context = context
  }

  run(task: ReadTreeTask): ReadTreeResult {
    const steps = new StepReader(task.steps)
    const path = new FolderPath(task.folder)
    const framer = new StreamFramer(task.slot.raw, task.tokens)
    const packer = new Packer(task.slot.packed, this.#context)
    this.#record = null
    for (let done = 0; ; done++) {
      const kind = steps.next()
      const skipped = done < task.skip
      const before = framer.length
      const finish = (failure?: FileFailure): ReadTreeResult =>
        this.#results.finish(done, task.tokens === undefined ? 0 : before, failure)
      if (kind === undefined) return finish()
      if (kind === Step.leave || kind === Step.end) {
        path.leave()
        this.#folderEnds()
        if (!skipped && !framer.fits(0)) return finish()
        if (!skipped) framer.leave(kind === Step.end)
        continue
      }
      const name = steps.bytes()
      if (kind === Step.file) {
        if (skipped) continue
        const outcome = this.#file(task, path, name, framer, packer)
        if (outcome !== DONE) return finish(outcome)
        continue
      }
      const target = kind === Step.symlink ? steps.bytes() : name
      if (!skipped && !framer.fits(name.length + target.length)) return finish()
      if (kind === Step.symlink) {
        this.#results.endRun()
        if (!skipped) framer.symlink(name, target)
        continue
      }
      path.enter(name)
      this.#folderEnds()
      if (!skipped) framer.enter(name)
    }
  }

  #folderEnds(): void {
    this.#results.endRun()
    this.#record = null
  }

  /** @returns {@link DONE}, or why not: undefined where it does not fit any more */
  #file(
    task: ReadTreeTask,
    folder: FolderPath,
    name: Buffer,
    framer: StreamFramer,
    packer: Packer,
  ): FileFailure | undefined | typeof DONE {
    const path = folder.child(name)
    let descriptor: number | undefined
    try {
      if (task.useFileCache && this.#unchanged(folder, name)) return DONE
      descriptor = openSync(path, OPEN_FLAGS)
      const stat = fstatSync(descriptor)
      if (!stat.isFile()) return wrongType(path, stat)
      const { size } = stat
      const executable = (stat.mode & 0o100) !== 0
      const large = size > LARGE_FILE
      const inSlot = large ? 0 : size
      if (!framer.fits(name.length + inSlot) || !packer.fits(inSlot)) return undefined
      framer.fileStart(name, size, executable)
      if (large) {
        this.#results.large(name, size, executable, framer.length)
      } else {
        const at = framer.length
        const read = readUpTo(descriptor, task.slot.raw, at, size + 1)
        if (read !== size) return changed(path, size, read)
        const content = task.slot.raw.subarray(at, at + size)
        const digest = size === 0 ? EMPTY : blake3.digest(content)
        const chunks = this.#context.packs && size > 0 ? packer.file(digest, content) : NO_CHUNKS
        this.#results.content(digest, size, at, chunks)
        this.#results.file(elementOf(name, digest, size, executable), size)
        const seen = this.seen(path, stat)
        if (seen !== undefined) {
          this.#results.entry(encodeEntry(name, size, executable, digest, seen), seen.device, true)
        }
      }
      framer.fileEnd(name, size, inSlot)
      return DONE
    } catch (error) {
      return { kind: 'read', path: Buffer.from(path), message: messageOf(error) }
    } finally {
      if (descriptor !== undefined) closeSync(descriptor)
    }
  }

  /** Takes a file from the record of the last import, if it looks the same and is stored. */
  #unchanged(folder: FolderPath, name: Buffer): boolean {
    if (this.#record === null) {
      const bytes = this.#context.folderRecord(folderKey(folder.path))
      this.#record = bytes === undefined ? undefined : FolderRecord.decode(bytes)
    }
    const known = this.#record?.find(name)
    if (known === undefined) return false
    const stat = lstatSync(folder.child(name))
    const { size, executable, digest } = known
    const same =
      stat.isFile() &&
      stat.size === size &&
      stat.ino === known.inode &&
      stat.dev === this.#record?.device &&
      stat.mtimeMs === known.modified &&
      stat.ctimeMs === known.changed
    if (!same || !this.#context.isWhole(digest, size)) return false
    this.#results.file(elementOf(name, digest, size, executable), size)
    this.#results.entry(known.bytes, stat.dev, false)
    return true
  }

  /** What to remember of a file: nothing if it changed so recently that another change might go unseen. */
  seen(path: Uint8Array, stat: Stats): FileSeen | undefined {
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

const DONE = 'done'

/** A file's element in the encoding of its folder, which is that of a node with a name. */
export function elementOf(
  name: Uint8Array,
  digest: Uint8Array,
  size: number,
  executable: boolean,
): Uint8Array {
  return encodeNode(name, { kind: 'file', digest: B3Digest.adopt(digest), size: BigInt(size), executable })
}

/** Reads until so many bytes are there, or the file ends. */
export function readUpTo(
  descriptor: number,
  out: Uint8Array,
  at: number,
  length: number,
  position?: number,
): number {
  let done = 0
  while (done < length) {
    const from = position === undefined ? null : position + done
    const read = readSync(descriptor, out, at + done, length - done, from)
    if (read === 0) break
    done += read
    // A short read at the announced end is the end: it need not be asked for again.
    if (done === length - 1 && position === undefined) break
  }
  return done
}

export function changed(path: Uint8Array, expected: number, actual: number): FileFailure {
  return { kind: 'changed', path: new Uint8Array(path), message: `expected ${expected} bytes, got ${actual}` }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
