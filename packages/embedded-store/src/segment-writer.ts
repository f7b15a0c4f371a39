import {
  closeSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  unlinkSync,
  writeSync,
  writev,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { wrapError } from './errors.js'
import { tryLock } from './file-lock.js'
import { syncFolder } from './format.js'
import { setReserveAside } from './reserve.js'
import { isSegmentHeader, SEGMENT_HEADER, segmentHeader, segmentIds, segmentName } from './segment.js'
import { isRemoved, type SegmentState } from './table-values.js'
import type { Tables } from './tables.js'
import { cutTails } from './tails.js'

const writevAsync = promisify(writev)
const syncAsync = promisify(fdatasync)

/** How much may be written before a sync is started in the background, in bytes. */
const SYNC_AHEAD = 32 * 1024 * 1024
/** The most pieces that one system call writes. */
const MAX_PIECES = 1024

/**
 * One segment file that this process appends to, alone: the kernel's lock on the file keeps other processes away and
 * goes with the process. What lies behind the committed length was never acknowledged and is cut off by whoever
 * appends next.
 */
export class SegmentWriter {
  readonly id: number
  readonly #descriptor: number
  readonly #path: string
  #length: number
  #unsynced = 0
  #pending = 0
  readonly #inFlight = new Set<Promise<void>>()
  #sync: Promise<void> | undefined
  #failure: unknown

  private constructor(id: number, descriptor: number, path: string, committed: number) {
    this.id = id
    this.#descriptor = descriptor
    this.#path = path
    this.#length = committed
  }

  /**
   * Opens an unsealed segment that nobody else appends to, or makes a new one. Its file takes the number; the tables
   * come to know of it when something in it is committed.
   */
  static acquire(folder: string, tables: Tables, salt: number, segmentSize: number): SegmentWriter {
    const files = segmentIds(folder)
    // After looking at the files: one that is gone by then the tables call removed, and its number stays taken.
    tables.refresh()
    const states = tables.segmentStates()
    const unsealed = [...states].filter(([, { sealed, committed }]) => !sealed && committed < segmentSize)
    const unknown = files.filter((id) => !states.has(id))
    for (const id of [...unsealed.map(([id]) => id), ...unknown]) {
      const writer = SegmentWriter.#reopen(folder, tables, id, salt)
      if (writer !== undefined) return writer
    }
    for (let id = Math.max(0, ...states.keys(), ...files) + 1; ; id++) {
      const writer = SegmentWriter.#create(folder, tables, id, salt)
      if (writer !== undefined) return writer
    }
  }

  static #create(folder: string, tables: Tables, id: number, salt: number): SegmentWriter | undefined {
    const path = join(folder, segmentName(id))
    let descriptor: number
    try {
      descriptor = openSync(path, 'wx+', 0o644)
    } catch (error) {
      // Somebody else was quicker.
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined
      throw wrapError(error, `make ${path}`)
    }
    try {
      if (tryLock(descriptor, 'exclusive') === false) {
        // Somebody took it for one that was left behind by a crash, and has it now.
        closeSync(descriptor)
        return undefined
      }
      // The number may have been given out, filled and removed since the tables were looked at. Whoever collects garbage
      // removes files of removed segments again and again: no number is used twice. And somebody may have had this very
      // file before it was locked here, and filled or removed it.
      tables.refresh()
      const state = tables.segmentState(id)
      const { nlink, size } = fstatSync(descriptor)
      if (state !== undefined || nlink === 0 || size > 0) {
        if (state !== undefined && isRemoved(state) && nlink > 0) rmSync(path, { force: true })
        closeSync(descriptor)
        return undefined
      }
      writeSync(descriptor, segmentHeader(id, salt), 0, SEGMENT_HEADER, 0)
      syncFolder(folder)
    } catch (error) {
      rmSync(path, { force: true })
      closeSync(descriptor)
      throw wrapError(error, `make ${path}`)
    }
    setReserveAside(folder)
    return new SegmentWriter(id, descriptor, path, SEGMENT_HEADER)
  }

  static #reopen(folder: string, tables: Tables, id: number, salt: number): SegmentWriter | undefined {
    const path = join(folder, segmentName(id))
    let descriptor: number
    try {
      descriptor = openSync(path, 'r+')
    } catch {
      return undefined
    }
    try {
      if (tryLock(descriptor, 'exclusive') === true) {
        // Only now, under the lock, is the committed length final.
        tables.refresh()
        const state = tables.segmentState(id) ?? { committed: 0, sealed: false }
        if (!state.sealed) {
          // Whoever died here may have gone on elsewhere, with what leans on what is cut off here.
          if (fstatSync(descriptor).size > Math.max(state.committed, SEGMENT_HEADER)) cutTails(folder, tables)
          const committed = cutBack(descriptor, id, state.committed, salt)
          if (committed !== undefined) return new SegmentWriter(id, descriptor, path, committed)
        }
      }
    } catch {
      // An unusable segment is left alone: a new one is made instead.
    }
    closeSync(descriptor)
    return undefined
  }

  /** Length including what is still being written, in bytes. */
  get length(): number {
    return this.#length
  }

  /**
   * Appends pieces, one behind the other. They belong to the writer until the promise settles. Its rejection need not
   * be handled: {@link sync} tells too.
   *
   * @returns where they start, at once, and when they are written
   */
  append(pieces: readonly Uint8Array[]): { readonly offset: number; readonly written: Promise<void> } {
    const offset = this.#length
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    this.#length += length
    this.#unsynced += length
    this.#pending += length
    const written = this.#write(pieces, offset)
    this.#inFlight.add(written)
    const done = (): void => {
      this.#pending -= length
      this.#inFlight.delete(written)
    }
    written.then(done, (error: unknown) => {
      this.#failure ??= error
      done()
    })
    if (this.#unsynced >= SYNC_AHEAD && this.#sync === undefined) void this.#syncInBackground()
    return { offset, written }
  }

  /** Resolves once no more than `limit` bytes wait to be written. */
  async drained(limit: number): Promise<void> {
    while (this.#pending > limit) await Promise.race(this.#inFlight).catch(() => undefined)
  }

  async #write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const left = [...pieces]
    let at = offset
    try {
      while (left.length > 0) {
        const { bytesWritten } = await writevAsync(this.#descriptor, left.slice(0, MAX_PIECES), at)
        at += bytesWritten
        dropFront(left, bytesWritten)
      }
    } catch (error) {
      throw wrapError(error, `write ${this.#path}`)
    }
  }

  async #syncInBackground(): Promise<void> {
    this.#unsynced = 0
    this.#sync = syncAsync(this.#descriptor)
    try {
      await this.#sync
    } catch (error) {
      this.#failure ??= wrapError(error, `sync ${this.#path}`)
    } finally {
      this.#sync = undefined
    }
  }

  /**
   * Waits until everything appended so far is on disk.
   *
   * @returns the state to publish
   */
  async sync(sealed: boolean): Promise<SegmentState> {
    const length = this.#length
    await Promise.allSettled([...this.#inFlight])
    // The kernel tells of a failed sync once: it must not go unheard in the background.
    await this.#sync?.catch(() => undefined)
    if (this.#failure !== undefined) throw this.#failure
    this.#unsynced = 0
    try {
      await syncAsync(this.#descriptor)
    } catch (error) {
      this.#failure = wrapError(error, `sync ${this.#path}`)
    }
    if (this.#failure !== undefined) throw this.#failure
    return { committed: length, sealed }
  }

  /** Lets go of the file. What the tables do not know to be committed is cut off; never rejects. */
  async close(tables: Tables): Promise<void> {
    await Promise.allSettled([...this.#inFlight])
    await this.#sync?.catch(() => undefined)
    try {
      tables.refresh()
      const committed = tables.segmentState(this.id)?.committed ?? 0
      if (committed < SEGMENT_HEADER) unlinkSync(this.#path)
      else if (committed < this.#length) ftruncateSync(this.#descriptor, committed)
    } catch {
      // The next writer cuts it off.
    } finally {
      closeSync(this.#descriptor)
    }
  }
}

/** Takes so many bytes away from the front, and empty pieces with them. */
function dropFront(pieces: Uint8Array[], bytes: number): void {
  let drop = bytes
  while (pieces.length > 0 && pieces[0]!.length <= drop) drop -= pieces.shift()!.length
  if (drop > 0) pieces[0] = pieces[0]!.subarray(drop)
}

/** Cuts a segment back to its committed length; undefined if it is not sound enough to be appended to. */
function cutBack(descriptor: number, id: number, committed: number, salt: number): number | undefined {
  const header = segmentHeader(id, salt)
  const { size, nlink } = fstatSync(descriptor)
  // Whoever had it before may have removed it while this process waited for the lock.
  if (nlink === 0) return undefined
  if (committed < SEGMENT_HEADER) {
    // Nothing in it was ever committed: a crash left it behind.
    ftruncateSync(descriptor, 0)
    writeSync(descriptor, header, 0, SEGMENT_HEADER, 0)
    fsyncSync(descriptor)
    return SEGMENT_HEADER
  }
  const found = new Uint8Array(SEGMENT_HEADER)
  readSync(descriptor, found, 0, SEGMENT_HEADER, 0)
  if (size < committed || !isSegmentHeader(found, id, salt)) return undefined
  if (size > committed) ftruncateSync(descriptor, committed)
  return committed
}
