import { createRequire } from 'node:module'

const LOCK_EX = 2
const LOCK_NB = 4

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
 * Takes the exclusive lock of an open file without waiting. The kernel lets go of it when the descriptor is closed or
 * the process ends, however it ends.
 *
 * @returns whether the lock was taken; `undefined` where this machine offers no such locks
 */
export function tryLock(descriptor: number): boolean | undefined {
  if (flock === undefined) flock = load()
  return flock === null ? undefined : flock(descriptor, LOCK_EX | LOCK_NB) === 0
}
