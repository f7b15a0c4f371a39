import { CastoreError, type CastoreErrorCode } from '../errors.js'

const KINDS: Readonly<Record<string, readonly [code: CastoreErrorCode, words: string]>> = {
  ENOSPC: ['storage', 'no space left on the device'],
  EDQUOT: ['storage', 'the disk quota is used up'],
  EFBIG: ['storage', 'the object is larger than the file system allows'],
  EACCES: ['storage', 'permission denied'],
  EPERM: ['storage', 'operation not permitted'],
  EROFS: ['storage', 'the file system is read-only'],
  EIO: ['storage', 'the device failed'],
  ENAMETOOLONG: ['storage', 'the name is longer than the file system allows'],
  ENOTDIR: ['storage', 'a file is where a folder has to be'],
  // Folders are made in one go, which fails so when one of them is a file.
  EEXIST: ['storage', 'a file is where a folder has to be'],
  EISDIR: ['storage', 'a folder is where the object has to be'],
  ENOTEMPTY: ['storage', 'a folder is where the object has to be'],
  EMFILE: ['unavailable', 'too many open files'],
  ENFILE: ['unavailable', 'too many open files'],
  ESTALE: ['unavailable', 'the folder was replaced on the server'],
}

/**
 * What a system call failed with, as a CastoreError.
 *
 * @param action what was being done, in words: `write object KEY`
 * @param store its name
 */
export function fileError(
  failure: { readonly code?: string | undefined; readonly message: string },
  action: string,
  store: string,
  options?: { readonly cause?: unknown },
): CastoreError {
  const [code, words] = KINDS[failure.code ?? ''] ?? (['storage', failure.message] as const)
  return new CastoreError(code, `cannot ${action}: ${words} (${store})`, options)
}
