import { createRequire } from 'node:module'
import { release } from 'node:os'

interface Koffi {
  load(path: string | null): { func(signature: string): (descriptor: number) => number }
  errno(): number
}

let loaded: { readonly call: ((descriptor: number) => void) | undefined } | undefined

/**
 * The system call that syncs the file system of an open file, which Node does not have.
 *
 * @returns undefined where there is none, or where it does not report failed writes: Linux before 5.8
 */
export function loadSyncfs(): ((descriptor: number) => void) | undefined {
  loaded ??= { call: load() }
  return loaded.call
}

function load(): ((descriptor: number) => void) | undefined {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (process.platform !== 'linux' || major < 5 || (major === 5 && minor < 8)) return undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi
    const syncfs = koffi.load(null).func('int syncfs(int fd)')
    return (descriptor) => {
      if (syncfs(descriptor) === 0) return
      throw Object.assign(new Error(`syncfs failed with error ${koffi.errno()}`), {
        code: codeName(koffi.errno()),
      })
    }
  } catch {
    return undefined
  }
}

function codeName(errno: number): string {
  return { 5: 'EIO', 28: 'ENOSPC', 122: 'EDQUOT' }[errno] ?? `errno ${errno}`
}
