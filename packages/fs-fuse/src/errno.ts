import { constants } from 'node:os'

/** Numbers of the kernel's errors, as its protocol has them on every machine that FUSE runs on. */
export const Errno = {
  ...constants.errno,
  /** Linux' own: Node does not have them on every platform. */
  ENODATA: 61,
  ESTALE: 116,
} as const

const NAMES = new Map(Object.entries(Errno).map(([name, number]) => [number, name]))

/** What a request to the filesystem is answered with when it is not granted. */
export class FilesystemError extends Error {
  override readonly name = 'FilesystemError'
  /** The name of the error, such as `ENOENT`. */
  readonly code: string

  /** @param errno positive, one of {@link Errno} */
  constructor(
    readonly errno: number,
    options?: { readonly cause?: unknown },
  ) {
    const code = NAMES.get(errno) ?? `errno ${errno}`
    super(`the filesystem answers ${code}`, options)
    this.code = code
  }
}
