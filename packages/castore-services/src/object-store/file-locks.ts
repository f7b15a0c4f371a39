import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '../call-options.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { CastoreError } from '../errors.js'
import { codeOf } from './file-names.js'
import { loadTryLock } from './file-system-calls.js'

/** No key has this character, so no object can be in the folder, and no list shows what is. */
const FOLDER = '~locks'
/** Between two attempts, in milliseconds: about as long as a write and its sync take. */
const PAUSE = 5
/** A lock is held while one object is written. */
const PATIENCE = 60_000

/**
 * Locks on keys, among all processes that use a folder: 256 files, each for the keys with one hash. The kernel lets go of
 * a lock when its process ends, however it does; the files stay.
 */
export class FileLocks {
  readonly #root: string
  readonly #name: string
  /** Who waits in this process does so in turn, and does not ask the kernel. */
  readonly #turns = new Map<string, ByteSemaphore>()

  /** @param name of the store, for messages */
  constructor(root: string, name: string) {
    this.#root = root
    this.#name = name
  }

  /** Whether this machine has such locks. */
  static get supported(): boolean {
    return loadTryLock() !== undefined
  }

  /**
   * Does something while nobody else has the lock of a key.
   *
   * @throws CastoreError `unavailable` when another process keeps it for a minute
   */
  async hold<T>(key: string, work: () => Promise<T>, { signal }: CallOptions): Promise<T> {
    const shard = createHash('sha256').update(key).digest('hex').slice(0, 2)
    let turns = this.#turns.get(shard)
    if (turns === undefined) {
      turns = new ByteSemaphore(1)
      this.#turns.set(shard, turns)
    }
    const turn = await turns.acquire(1, { signal })
    try {
      const lock = await this.#take(shard, key, signal)
      try {
        return await work()
      } finally {
        closeSync(lock)
      }
    } finally {
      turn.release()
    }
  }

  /** @returns the file that is locked: until it is closed */
  async #take(shard: string, key: string, signal: AbortSignal | undefined): Promise<number> {
    const file = openLock(join(this.#root, FOLDER, shard))
    try {
      const tryLock = loadTryLock()!
      const end = performance.now() + PATIENCE
      while (!tryLock(file)) {
        if (performance.now() > end) {
          const detail = `another process has had it locked for ${PATIENCE / 1000} s`
          throw new CastoreError('unavailable', `cannot replace object ${key}: ${detail} (${this.#name})`)
        }
        // Not all at the same moment.
        await sleep(PAUSE * (0.5 + Math.random()), undefined, { signal }).catch(() =>
          signal?.throwIfAborted(),
        )
      }
      return file
    } catch (error) {
      closeSync(file)
      throw error
    }
  }
}

function openLock(path: string): number {
  try {
    return openSync(path, 'a')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    mkdirSync(dirname(path), { recursive: true })
    return openSync(path, 'a')
  }
}
