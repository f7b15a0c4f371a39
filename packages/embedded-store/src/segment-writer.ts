import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { wrapError } from './errors.js'
import { tryLock } from './file-lock.js'
import { syncFolder } from './format.js'
import { SEGMENT_HEADER, segmentHeader, segmentName } from './segment.js'
import type { SegmentState, Tables } from './tables.js'

const writeAsync = promisify(write)
const syncAsync = promisify(fdatasync)

/** How much may be written before a sync is started in the background, in bytes. */
const SYNC_AHEAD = 32 * 1024 * 1024

/**
 * One segment file that this process appends to, alone: the kernel's lock on the file keeps other processes away and
 * goes with the process. What lies behind the committed length was never acknowledged and is cut off by whoever
 * appends next.
 */
export class SegmentWriter {
  readonly id: number
  readonly #descriptor: number
  readonly #path: string
  #committed: number
  #length: number
  #unsynced = 0
  #inFlight = new Set<Promise<void>>()
  #sync: Promise<void> | undefined
  #failure: unknown

  private constructor(id: number, descriptor: number, path: string, committed: number) {
    this.id = id
    this.#descriptor = descriptor
    this.#path = path
    this.#committed = committed
    this.#length = committed
  }

  /** Opens an unsealed segment that nobody else appends to, or makes a new one. */
  static acquire(folder: string, tables: Tables, salt: number, segmentSize: number): SegmentWriter {
    for (const [id, state] of tables.segmentStates()) {
      if (state.sealed || state.committed < SEGMENT_HEADER || state.committed >= segmentSize) continue
      const writer = SegmentWriter.#reopen(folder, tables, id)
      if (writer !== undefined) return writer
    }
    for (let atLeast = 1; ; ) {
      const id = tables.allocateSegment(atLeast)
      const path = join(folder, segmentName(id))
      // A number may be taken by a file that the tables do not know, when the tables were made anew.
      if (existsSync(path)) {
        atLeast = id + 1
        continue
      }
      const descriptor = openSync(path, 'wx+', 0o644)
      try {
        tryLock(descriptor)
        writeSync(descriptor, segmentHeader(id, salt), 0, SEGMENT_HEADER, 0)
        syncFolder(folder)
      } catch (error) {
        closeSync(descriptor)
        unlinkSync(path)
        throw wrapError(error, `make ${path}`)
      }
      return new SegmentWriter(id, descriptor, path, SEGMENT_HEADER)
    }
  }

  static #reopen(folder: string, tables: Tables, id: number): SegmentWriter | undefined {
    const path = join(folder, segmentName(id))
    let descriptor: number
    try {
      descriptor = openSync(path, 'r+')
    } catch {
      return undefined
    }
    try {
      if (tryLock(descriptor) === true) {
        // Only now, under the lock, is the committed length final.
        tables.refresh()
        const state = tables.segmentState(id)
        const size = fstatSync(descriptor).size
        if (state !== undefined && !state.sealed && size >= state.committed) {
          if (size > state.committed) ftruncateSync(descriptor, state.committed)
          return new SegmentWriter(id, descriptor, path, state.committed)
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
   * Appends bytes. They belong to the writer until the promise settles.
   *
   * @returns where they start, at once, and when they are written
   */
  append(bytes: Uint8Array): { readonly offset: number; readonly written: Promise<void> } {
    const offset = this.#length
    this.#length += bytes.length
    this.#unsynced += bytes.length
    const written = this.#write(bytes, offset)
    this.#inFlight.add(written)
    const done = (): void => {
      this.#inFlight.delete(written)
    }
    written.then(done, (error: unknown) => {
      this.#failure ??= error
      done()
    })
    if (this.#unsynced >= SYNC_AHEAD && this.#sync === undefined) void this.#syncInBackground()
    return { offset, written }
  }

  async #write(bytes: Uint8Array, offset: number): Promise<void> {
    let done = 0
    try {
      while (done < bytes.length) {
        const { bytesWritten } = await writeAsync(
          this.#descriptor,
          bytes,
          done,
          bytes.length - done,
          offset + done,
        )
        done += bytesWritten
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
    while (this.#inFlight.size > 0) await Promise.allSettled([...this.#inFlight])
    if (this.#failure !== undefined) throw this.#failure
    this.#unsynced = 0
    try {
      await syncAsync(this.#descriptor)
    } catch (error) {
      this.#failure = wrapError(error, `sync ${this.#path}`)
      throw this.#failure
    }
    return { committed: length, sealed }
  }

  /** Tells the writer how far the tables have published it. */
  published(state: SegmentState): void {
    this.#committed = state.committed
  }

  /** Lets go of the file. What was not published is cut off. */
  async close(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled([...this.#inFlight])
    await this.#sync?.catch(() => undefined)
    try {
      if (this.#committed <= SEGMENT_HEADER && this.#length <= SEGMENT_HEADER) unlinkSync(this.#path)
      else ftruncateSync(this.#descriptor, this.#committed)
    } catch {
      // The next writer cuts it off.
    } finally {
      closeSync(this.#descriptor)
    }
  }
}
