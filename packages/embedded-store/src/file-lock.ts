import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { EmbeddedStoreError, wrapError } from './errors.js'

const OPERATION = { shared: 1, exclusive: 2 } as const
const LOCK_NB = 4

export type LockKind = keyof typeof OPERATION

type Flock = (descriptor: number, operation: number) => number
let flock: Flock | null | undefined

function load(): Flock | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as {
      load(path: string | null): { func(signature: string): Flock }
    }
    return koffi.load(null).func('int flock(int fd, int operation)')
  } catch {
    return null
  }
}

/**
 * Takes the lock of an open file without waiting, or turns the one that is held into another kind. The kernel lets go
 * of it when the descriptor is closed or the process ends, however it ends.
 *
 * @returns whether the lock was taken; `undefined` where this machine offers no such locks
 */
export function tryLock(descriptor: number, kind: LockKind): boolean | undefined {
  if (flock === undefined) flock = load()
  return flock === null ? undefined : flock(descriptor, OPERATION[kind] | LOCK_NB) === 0
}

/** The lock of a file that has no other use. */
export class LockFile implements Disposable {
  readonly #descriptor: number
  #open = true

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /**
   * @returns undefined while somebody else has it
   * @throws {@link EmbeddedStoreError} `no-permission` where files cannot be locked
   */
  static tryTake(path: string): LockFile | undefined {
    let descriptor: number
    try {
      descriptor = openSync(path, 'a', 0o644)
    } catch (error) {
      throw wrapError(error, `lock ${path}`)
    }
    const taken = tryLock(descriptor, 'exclusive')
    if (taken === true) return new LockFile(descriptor)
    closeSync(descriptor)
    if (taken === false) return undefined
    throw new EmbeddedStoreError('no-permission', 'garbage is collected only where files can be locked')
  }

  /** Calling it again does nothing. */
  release(): void {
    if (!this.#open) return
    this.#open = false
    closeSync(this.#descriptor)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/**
 * The lock of a whole store, on its FORMAT file: shared by everyone who has the store open, exclusive for whoever
 * replaces its tables. LMDB goes on writing to a file that was deleted under it, so the two must never meet.
 */
export class StoreLock {
  readonly #descriptor: number
  #open = true

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** Takes the lock unless somebody holds one that excludes it. */
  static tryTake(path: string, kind: LockKind): StoreLock | undefined {
    let descriptor: number
    try {
      descriptor = openSync(path, 'r')
    } catch (error) {
      throw wrapError(error, `lock ${path}`)
    }
    const lock = new StoreLock(descriptor)
    if (lock.become(kind)) return lock
    lock.release()
    return undefined
  }

  /** @returns whether it is of that kind now; if not, it may be of none */
  become(kind: LockKind): boolean {
    return tryLock(this.#descriptor, kind) !== false
  }

  release(): void {
    if (!this.#open) return
    this.#open = false
    closeSync(this.#descriptor)
  }
}
