import { closeSync, fstatSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStoreError } from './errors.js'
import { allocate } from './file-lock.js'
import { freeBytes, lastPageEnd } from './tables-file.js'

/**
 * So much of LMDB's file is kept for the garbage collector, in bytes, so that it can work on a full disk: others may not
 * use it.
 */
export const RESERVE = 2 * 1024 * 1024
/** LMDB's file grows by so much at a time, in bytes. */
const STEP = 1024 * 1024

/**
 * Room in LMDB's file: blocks behind its last page that the file has already. Then LMDB does not meet a full disk in the
 * middle of a commit, which it copes with in principle, but not in practice: the text of the error is longer than what
 * it has set aside for it, and the process may die of that later (lmdb 3.5.6).
 */
export class TableRoom {
  readonly #path: string
  #descriptor: number | undefined

  /** @param path the folder of the tables */
  constructor(path: string) {
    this.#path = path
  }

  /**
   * Sees to it that there is room.
   *
   * @param needed how much LMDB may write, in bytes
   * @param kept how much must be left, in bytes
   * @throws {@link EmbeddedStoreError} `no-space`
   */
  make(needed: number, kept: number): void {
    this.#descriptor ??= openSync(join(this.#path, 'data.mdb'), 'r+')
    const { size } = fstatSync(this.#descriptor)
    const used = lastPageEnd(this.#descriptor)
    const missing = used + needed + kept - size
    if (missing <= 0) return
    for (const length of [Math.max(missing, STEP), missing]) {
      const done = allocate(this.#descriptor, size, length)
      if (done === true) return
      if (done === undefined && freeBytes(this.#path) >= missing) return
    }
    throw new EmbeddedStoreError(
      'no-space',
      `no space left for the tables at ${this.#path}: they need ${missing} bytes more, ${freeBytes(this.#path)} are free`,
    )
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}
