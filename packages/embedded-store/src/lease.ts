import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { wrapError } from './errors.js'
import { tryLock } from './file-lock.js'

/** Leases in the making: nobody goes by them yet. */
const NEW = 'new-'
const NAME = /^\d+-[0-9a-f]+$/

/**
 * Tells the garbage collector that a process is at work, and since when: a file that the process holds locked for as
 * long as it lives, running or stopped, and whose length is the epoch of the collector that it began in. The file
 * shows itself with the length 0, which holds back everything, before the epoch is read: so whatever the collector
 * publishes after it has looked for leases, a process that it did not see knows of. A length takes no space, so that a
 * full disk does not keep anybody from opening the store.
 */
export class Lease {
  readonly #path: string
  readonly #descriptor: number
  #open = true
  #epoch = 0

  private constructor(path: string, descriptor: number) {
    this.#path = path
    this.#descriptor = descriptor
  }

  /** @param epoch reads the epoch as it is when this is called */
  static take(folder: string, epoch: () => number): Lease {
    let lease: Lease | undefined
    try {
      mkdirSync(folder, { recursive: true })
      lease = Lease.#show(folder)
      lease.#epoch = epoch()
      ftruncateSync(lease.#descriptor, lease.#epoch)
      return lease
    } catch (error) {
      lease?.release()
      throw wrapError(error, `take a lease in ${folder}`)
    }
  }

  static #show(folder: string): Lease {
    for (let attempt = 0; ; attempt++) {
      const name = `${process.pid}-${randomBytes(6).toString('hex')}`
      const made = join(folder, NEW + name)
      const descriptor = openSync(made, 'wx', 0o644)
      try {
        // Where there are no locks there is no collector either.
        if (tryLock(descriptor, 'exclusive') !== false) {
          renameSync(made, join(folder, name))
          return new Lease(join(folder, name), descriptor)
        }
        closeSync(descriptor)
      } catch (error) {
        closeSync(descriptor)
        // A collector may have taken it for one that a crash left behind.
        if (attempt === 10) throw error
      }
    }
  }

  /** What was condemned later than this stays for as long as the lease is held. */
  get epoch(): number {
    return this.#epoch
  }

  /** Says that what was condemned up to an epoch is leaned upon no more. */
  renew(epoch: number): void {
    if (!this.#open || epoch <= this.#epoch) return
    ftruncateSync(this.#descriptor, epoch)
    this.#epoch = epoch
  }

  release(): void {
    if (!this.#open) return
    this.#open = false
    try {
      rmSync(this.#path, { force: true })
    } catch {
      // Nobody goes by one that is not locked.
    }
    closeSync(this.#descriptor)
  }

  /** Whether a file of {@link leasesIn} is this one. */
  is(path: string): boolean {
    return path === this.#path
  }
}

/** A process that has a store open for writing. */
export interface LeaseHolder {
  readonly pid: number
  /** What the collector had condemned up to here, the process takes for absent. */
  readonly epoch: number
  readonly path: string
}

/** The leases of living processes; those of the dead are cleared away. */
export function leasesIn(folder: string): LeaseHolder[] {
  const holders: LeaseHolder[] = []
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (name.startsWith(NEW)) clearIfDead(path)
    else if (NAME.test(name) && !clearIfDead(path)) {
      const size = statSync(path, { throwIfNoEntry: false })?.size
      if (size !== undefined) holders.push({ pid: Number.parseInt(name, 10), epoch: size, path })
    }
  }
  return holders
}

/** @returns whether it is gone */
function clearIfDead(path: string): boolean {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true
    throw error
  }
  try {
    if (tryLock(descriptor, 'exclusive') !== true) return fstatSync(descriptor).nlink === 0
    rmSync(path, { force: true })
    return true
  } finally {
    closeSync(descriptor)
  }
}
