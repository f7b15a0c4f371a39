import { closeSync, existsSync, openSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { EmbeddedStoreError, wrapError } from './errors.js'

const OPERATION = { shared: 1, exclusive: 2 } as const
const LOCK_NB = 4

export type LockKind = keyof typeof OPERATION

/** `F_OFD_SETLK` of Linux, and its `struct flock` on 64-bit machines: shared, from the start, of the first byte. */
const F_OFD_SETLK = 37
const FIRST_BYTE = Buffer.alloc(32)
FIRST_BYTE.writeBigInt64LE(1n, 16)

interface Calls {
  readonly flock: (descriptor: number, operation: number) => number
  readonly fcntl: (descriptor: number, command: number, type: string, lock: Uint8Array) => number
  readonly fallocate: (descriptor: number, mode: number, offset: number, length: number) => number
  readonly madvise: (address: number, length: number, advice: number) => number
  readonly errno: () => number
}
let calls: Calls | null | undefined

function loadCalls(): Calls | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as {
      load(path: string | null): { func(signature: string): never }
      errno(): number
    }
    const libc = koffi.load(null)
    return {
      flock: libc.func('int flock(int fd, int operation)'),
      fcntl: libc.func('int fcntl(int fd, int cmd, ...)'),
      fallocate:
        process.platform === 'linux'
          ? libc.func('int fallocate(int fd, int mode, int64 offset, int64 length)')
          : () => -1,
      madvise: libc.func('int madvise(uintptr_t addr, size_t length, int advice)'),
      errno: () => koffi.errno(),
    }
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
  if (calls === undefined) calls = loadCalls()
  return calls === null ? undefined : calls.flock(descriptor, OPERATION[kind] | LOCK_NB) === 0
}

/** How long others are waited for, in milliseconds, and how often they are asked. */
const PATIENCE = 60_000
const RETRY = 2
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/**
 * Does something while no other process or thread does it with the same file. Where files cannot be locked it is done at
 * once.
 *
 * @param path a file that exists; opened for reading
 * @throws {@link EmbeddedStoreError} `busy` when somebody keeps it for a minute: one that is stopped, or means no good
 */
export function oneAtATime<T>(path: string, work: () => T): T {
  const descriptor = openSync(path, 'r')
  try {
    const until = performance.now() + PATIENCE
    while (tryLock(descriptor, 'exclusive') === false) {
      if (performance.now() > until) throw new EmbeddedStoreError('busy', `somebody keeps ${path} locked`)
      Atomics.wait(NEVER, 0, 0, RETRY)
    }
    return work()
  } finally {
    closeSync(descriptor)
  }
}

/** Out of space, and over the quota. */
const FULL = [28, 122]

/**
 * Makes a file longer by blocks that are its own from then on.
 *
 * @returns false where there is no space for them; undefined where files cannot be given blocks ahead of writing
 */
export function allocate(descriptor: number, offset: number, length: number): boolean | undefined {
  if (calls === undefined) calls = loadCalls()
  if (calls === null) return undefined
  if (calls.fallocate(descriptor, 0, offset, length) === 0) return true
  return FULL.includes(calls.errno()) ? false : undefined
}

const MADV_DONTNEED = 4

/** Takes a mapping of a file out of this process's memory until it is read again. Linux only. */
export function dropPages(address: number, length: number): void {
  if (calls === undefined) calls = loadCalls()
  calls?.madvise(address, length, MADV_DONTNEED)
}

/**
 * A lock on the first byte of LMDB's lock file beside LMDB's own. Who closes an environment last destroys its mutexes, and
 * LMDB (lmdb 3.5.6) does not keep others from opening it at that very moment, with mutexes that never work again. Under
 * this lock nobody is the last; whoever opens it alone the next time makes them anew. The lock belongs to a descriptor, not
 * to the process, so that LMDB does not take it for its own. Closing any descriptor of the file drops LMDB's locks of this
 * process: therefore there is one for all instances, which is closed after the last.
 */
export class MutexLock implements Disposable {
  static readonly #held = new Map<string, { readonly descriptor: number; users: number }>()
  readonly #file: string

  private constructor(file: string) {
    this.#file = file
  }

  /** @returns undefined where there are no such locks */
  static take(path: string): MutexLock | undefined {
    // Where the file system is read-only there may be no such file, and then there are no mutexes.
    if (process.platform !== 'linux' || !existsSync(path)) return undefined
    const file = realpathSync(path)
    const held = MutexLock.#held.get(file)
    if (held !== undefined) {
      held.users++
      return new MutexLock(file)
    }
    if (calls === undefined) calls = loadCalls()
    if (calls === null) return undefined
    const descriptor = openSync(file, 'r')
    if (calls.fcntl(descriptor, F_OFD_SETLK, 'void *', FIRST_BYTE) !== 0) {
      closeSync(descriptor)
      return undefined
    }
    MutexLock.#held.set(file, { descriptor, users: 1 })
    return new MutexLock(file)
  }

  /** To be called once, after the environment was closed. */
  [Symbol.dispose](): void {
    const held = MutexLock.#held.get(this.#file)
    if (held === undefined || --held.users > 0) return
    MutexLock.#held.delete(this.#file)
    closeSync(held.descriptor)
  }
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
