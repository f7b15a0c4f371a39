import { fstatSync, readSync, statfsSync } from 'node:fs'
import { B3Digest, blake3 } from '@neve/castore-model'
import { FolderRecord, folderKey, settlingTime } from './file-cache.js'
import { type FileCalls, type FileStat, fileCalls } from './file-calls.js'
import {
  type FileFailure,
  type FileSeen,
  LARGE_FILE,
  type ReadTreeResult,
  type ReadTreeTask,
} from './file-tasks-protocol.js'
import { wrongType } from './file-type.js'
import { FolderPath } from './folder-path.js'
import { StreamFramer } from './stream-framer.js'
import { TreeResultsWriter } from './tree-results.js'
import { Step, StepReader } from './tree-steps.js'

const EMPTY = B3Digest.EMPTY.bytes
const NUL = new Uint8Array(1)

/** What a reader of trees asks of what it reads for. */
export interface TreeReaderContext {
  /** The record of a folder's last import. */
  folderRecord(key: Uint8Array): Uint8Array | undefined
  /** Whether a blob is stored, and stored soundly. */
  isWhole(digest: Uint8Array, size: number): boolean
}

/** Reads stretches of a tree into slots: files whole, with all that the main thread needs of them. */
export class TreeReader {
  readonly #context: TreeReaderContext
  readonly #results = new TreeResultsWriter()
  readonly #calls: FileCalls = fileCalls()
  readonly #settling = new Map<number, number>()
  /** The record of the folder at hand: undefined where there is none, null where that is not known yet. */
  #record: FolderRecord | undefined | null = null
  /** The folder at hand, if files are looked at in it: undefined where that cannot be done, null before it was tried. */
  #folder: number | undefined | null = null

  constructor(context: TreeReaderContext) {
    this.#context = context
  }

  run(task: ReadTreeTask): ReadTreeResult {
    const steps = new StepReader(task.steps)
    const path = new FolderPath(task.folder)
    const framer = new StreamFramer(task.slot.raw, task.tokens)
    for (let done = 0; ; done++) {
      const kind = steps.next()
      const skipped = done < task.skip
      const before = framer.length
      if (kind === undefined) return this.#finish(task, done, before)
      if (kind === Step.leave || kind === Step.end) {
        path.leave()
        this.#folderEnds()
        if (!skipped && !framer.fits(0)) return this.#finish(task, done, before)
        if (!skipped) framer.leave(kind === Step.end)
        continue
      }
      const name = steps.bytes()
      if (kind === Step.file) {
        if (skipped) continue
        const outcome = this.#file(task, path, name, framer)
        if (outcome !== DONE) return this.#finish(task, done, before, outcome)
        continue
      }
      const target = kind === Step.symlink ? steps.bytes() : name
      if (!skipped && !framer.fits(name.length + target.length)) return this.#finish(task, done, before)
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

  #finish(task: ReadTreeTask, steps: number, streamed: number, failure?: FileFailure): ReadTreeResult {
    this.#closeFolder()
    return this.#results.finish(steps, task.tokens === undefined ? 0 : streamed, failure)
  }

  #folderEnds(): void {
    this.#results.endRun()
    this.#closeFolder()
  }

  #closeFolder(): void {
    this.#record = null
    if (typeof this.#folder === 'number') this.#calls.close(this.#folder)
    this.#folder = null
  }

  /** @returns {@link DONE}, or why not: undefined where it does not fit any more */
  #file(
    task: ReadTreeTask,
    folder: FolderPath,
    name: Buffer,
    framer: StreamFramer,
  ): FileFailure | undefined | typeof DONE {
    const path = folder.child(name)
    let descriptor: number | undefined
    try {
      if (task.useFileCache && this.#unchanged(folder, name)) return DONE
      descriptor = this.#calls.open(path)
      const stat = this.#calls.fstat(descriptor)
      const { size, executable } = stat
      if (!stat.isRegular) return wrongType(path, fstatSync(descriptor))
      const large = size > LARGE_FILE
      const inSlot = large ? 0 : size
      if (!framer.fits(name.length + inSlot)) return undefined
      framer.fileStart(name, size, executable)
      if (large) {
        this.#results.large(name, size, executable, framer.length)
      } else {
        const at = framer.length
        const read = readUpTo(descriptor, task.slot.raw, at, size + 1)
        if (read !== size) return changed(path, size, read)
        const { raw } = task.slot
        const digest =
          size === 0 ? EMPTY : blake3.digest(new Uint8Array(raw.buffer, raw.byteOffset + at, size))
        this.#results.content(digest, size, at)
        this.#results.file(name, digest, size, executable)
        const seen = this.seen(path, stat)
        if (seen !== undefined) this.#results.entry(name, digest, size, executable, seen)
      }
      framer.fileEnd(name, size, inSlot)
      return DONE
    } catch (error) {
      return { kind: 'read', path: Buffer.from(path), message: messageOf(error) }
    } finally {
      if (descriptor !== undefined) this.#calls.close(descriptor)
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
    const stat = this.#look(folder, name)
    const { size, executable, digest } = known
    const same =
      stat.isRegular &&
      stat.size === size &&
      stat.ino === known.inode &&
      stat.dev === this.#record?.device &&
      stat.mtimeMs === known.modified &&
      stat.ctimeMs === known.changed
    if (!same || !this.#context.isWhole(digest, size)) return false
    this.#results.file(name, digest, size, executable)
    this.#results.sameEntry(known.bytes, stat.dev)
    return true
  }

  /** Names have a NUL behind their end, as steps have. */
  #look(folder: FolderPath, name: Buffer): FileStat {
    // A copy: the path of the file at hand is in use.
    if (this.#folder === null) this.#folder = this.#calls.openFolder(Buffer.concat([folder.path, NUL]))
    const stat = this.#folder === undefined ? undefined : this.#calls.lstatIn(this.#folder, name)
    return stat ?? this.#calls.lstat(folder.child(name))
  }

  /** What to remember of a file: nothing if it changed so recently that another change might go unseen. */
  seen(path: Uint8Array, stat: Omit<FileStat, 'isRegular' | 'executable'>): FileSeen | undefined {
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
