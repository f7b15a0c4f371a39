import { existsSync, linkSync, renameSync, unlinkSync } from 'node:fs'
import { loadRenameNew } from './file-system-calls.js'

const NOT_SUPPORTED = ['EPERM', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/**
 * Gives a file its name unless there is one of that name: at once, where the file system can. The file is gone
 * afterwards if it was not needed.
 *
 * @returns whether it has the name now
 */
export function renameNew(temporary: string, target: string): boolean {
  const rename = loadRenameNew()
  try {
    if (rename !== undefined) {
      rename(temporary, target)
      return true
    }
  } catch (error) {
    if (codeOf(error) === 'EEXIST') {
      tryUnlink(temporary)
      return false
    }
    if (!NOT_SUPPORTED.includes(codeOf(error))) throw error
  }
  return linkNew(temporary, target)
}

function linkNew(temporary: string, target: string): boolean {
  try {
    linkSync(temporary, target)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'EEXIST') {
      if (!NOT_SUPPORTED.includes(code)) throw error
      if (!existsSync(target)) {
        renameSync(temporary, target)
        return true
      }
    }
    tryUnlink(temporary)
    return false
  }
  tryUnlink(temporary)
  return true
}

/** Removes a file that nobody sees, if it can. */
export function tryUnlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // The failure that led here matters more.
  }
}

/** What a call of `node:fs` failed with. */
export function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code)
}
