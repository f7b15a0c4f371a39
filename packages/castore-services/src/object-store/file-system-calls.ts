import { createRequire } from 'node:module'
import { release } from 'node:os'

type CFunction = (...args: readonly (number | string)[]) => number

interface Koffi {
  load(path: string | null): { func(signature: string): CFunction }
  errno(): number
}

/** System calls that Node does not have; those that are not there either are undefined. */
interface SystemCalls {
  readonly syncfs: ((descriptor: number) => void) | undefined
  readonly renameNew: ((from: string, to: string) => void) | undefined
  readonly tryLock: ((descriptor: number) => boolean) | undefined
}

const CODES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  5: 'EIO',
  11: 'EAGAIN',
  17: 'EEXIST',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  28: 'ENOSPC',
  30: 'EROFS',
  38: 'ENOSYS',
  39: 'ENOTEMPTY',
  122: 'EDQUOT',
}
const AT_FDCWD = -100
const RENAME_NOREPLACE = 1
const LOCK_EX = 2
const LOCK_NB = 4

const NONE: SystemCalls = { syncfs: undefined, renameNew: undefined, tryLock: undefined }

let loaded: SystemCalls | undefined

/**
 * Syncs the file system of an open file.
 *
 * @returns undefined where there is no such call, or where it does not report failed writes: Linux before 5.8
 */
export function loadSyncfs(): SystemCalls['syncfs'] {
  loaded ??= load()
  return loaded.syncfs
}

/**
 * Gives a file another name in one step, unless there is one of that name: `EEXIST`. File systems without that say
 * `EINVAL`.
 */
export function loadRenameNew(): SystemCalls['renameNew'] {
  loaded ??= load()
  return loaded.renameNew
}

/**
 * Locks an open file against whoever opened it by himself, in this process or another one, until it is closed.
 *
 * @returns undefined where there are no such locks. What it gives says whether the lock was taken
 */
export function loadTryLock(): SystemCalls['tryLock'] {
  loaded ??= load()
  return loaded.tryLock
}

function load(): SystemCalls {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (process.platform !== 'linux') return NONE
  let koffi: Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch {
    return NONE
  }
  const reports = major > 5 || (major === 5 && minor >= 8)
  const syncfs = reports ? find(koffi, 'syncfs', 'int syncfs(int fd)') : undefined
  const rename = find(
    koffi,
    'renameat2',
    'int renameat2(int olddir, const char *old, int newdir, const char *new, unsigned int flags)',
  )
  const flock = find(koffi, 'flock', 'int flock(int fd, int operation)')
  return {
    syncfs,
    tryLock: flock && ((descriptor) => isTaken(flock, descriptor)),
    renameNew: rename && ((from, to) => rename(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)),
  }
}

function isTaken(flock: (...args: readonly number[]) => void, descriptor: number): boolean {
  try {
    flock(descriptor, LOCK_EX | LOCK_NB)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false
    throw error
  }
}

/** A function of the C library, as one that throws as those of `node:fs` do; undefined if the library has none. */
function find(
  koffi: Koffi,
  name: string,
  signature: string,
): ((...args: readonly (number | string)[]) => void) | undefined {
  try {
    const call = koffi.load(null).func(signature)
    return (...args) => {
      if (call(...args) === 0) return
      const errno = koffi.errno()
      const code = CODES[errno] ?? `errno ${errno}`
      throw Object.assign(new Error(`${name} failed: ${code}`), { code })
    }
  } catch {
    return undefined
  }
}
