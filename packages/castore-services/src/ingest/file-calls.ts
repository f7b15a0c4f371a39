import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats } from 'node:fs'
import { createRequire } from 'node:module'

export const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** What an import looks at of a file. Times are in milliseconds with fractions. */
export interface FileStat {
  readonly isRegular: boolean
  readonly executable: boolean
  readonly size: number
  readonly dev: number
  readonly ino: number
  readonly mtimeMs: number
  readonly ctimeMs: number
}

/**
 * The calls that an import makes for each file. Paths have a NUL behind their end.
 *
 * @throws as the functions of `node:fs` that they stand for
 */
export interface FileCalls {
  open(path: Buffer): number
  fstat(descriptor: number): FileStat
  lstat(path: Buffer): FileStat
  close(descriptor: number): void
  /**
   * Opens a folder to look at many of its files: the kernel need not go down the whole path for each.
   *
   * @returns undefined where that cannot be done
   */
  openFolder(path: Buffer): number | undefined
  /**
   * @param name with a NUL behind its end
   * @returns undefined where it cannot be looked at in this way
   */
  lstatIn(folder: number, name: Uint8Array): FileStat | undefined
}

/** By Node. */
const NODE: FileCalls = {
  open: (path) => openSync(path, OPEN_FLAGS),
  fstat: (descriptor) => statOf(fstatSync(descriptor)),
  lstat: (path) => statOf(lstatSync(path)),
  close: closeSync,
  openFolder: () => undefined,
  lstatIn: () => undefined,
}

function statOf(stat: Stats): FileStat {
  const { mode, size, dev, ino, mtimeMs, ctimeMs } = stat
  return { isRegular: stat.isFile(), executable: isExecutable(mode), size, dev, ino, mtimeMs, ctimeMs }
}

let calls: FileCalls | undefined

/**
 * The calls, made directly where the layout of their results is known: two thirds of the time of Node's go into checking
 * arguments, tracing, and dates that nobody looks at. Whatever fails is asked for once more by Node, whose error it is.
 */
export function fileCalls(): FileCalls {
  calls ??= process.platform === 'linux' && process.arch === 'x64' ? (native() ?? NODE) : NODE
  return calls
}

type CFunction = (...args: readonly (number | Uint8Array)[]) => number

/** Of Linux on x86-64: `struct stat`, as words of 4 bytes. */
const STAT_BYTES = 144
const Field = { dev: 0, ino: 2, mode: 6, size: 12, modified: 22, changed: 26 } as const
const WORD = 2 ** 32
const AT_SYMLINK_NOFOLLOW = 0x100

function native(): FileCalls | undefined {
  let open: CFunction
  let fstat: CFunction
  let lstat: CFunction
  let close: CFunction
  let fstatat: CFunction
  try {
    const koffi = createRequire(import.meta.url)('koffi') as {
      load(path: null): { func(signature: string): CFunction }
    }
    const libc = koffi.load(null)
    open = libc.func('int open(void *path, int flags)')
    // Older C libraries do not have them under these names.
    fstat = libc.func('int fstat(int fd, void *stat)')
    lstat = libc.func('int lstat(void *path, void *stat)')
    close = libc.func('int close(int fd)')
    fstatat = libc.func('int fstatat(int fd, void *name, void *stat, int flags)')
  } catch {
    return undefined
  }
  const bytes = Buffer.alloc(STAT_BYTES)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, STAT_BYTES / 4)
  const wide = (at: number): number => words[at]! + words[at + 1]! * WORD
  const milliseconds = (at: number): number => wide(at) * 1000 + words[at + 2]! / 1e6
  const found = (): FileStat => {
    const mode = words[Field.mode]!
    return {
      isRegular: (mode & constants.S_IFMT) === constants.S_IFREG,
      executable: isExecutable(mode),
      size: wide(Field.size),
      dev: wide(Field.dev),
      ino: wide(Field.ino),
      mtimeMs: milliseconds(Field.modified),
      ctimeMs: milliseconds(Field.changed),
    }
  }
  return {
    open: (path) => {
      const descriptor = open(path, OPEN_FLAGS)
      return descriptor < 0 ? NODE.open(path) : descriptor
    },
    fstat: (descriptor) => (fstat(descriptor, bytes) === 0 ? found() : NODE.fstat(descriptor)),
    lstat: (path) => (lstat(path, bytes) === 0 ? found() : NODE.lstat(path)),
    // It is closed whatever this says, and may be somebody else's by then. Of what was only read nothing can be lost.
    close,
    openFolder: (path) => {
      const descriptor = open(path, OPEN_FLAGS | constants.O_DIRECTORY)
      return descriptor < 0 ? undefined : descriptor
    },
    lstatIn: (folder, name) =>
      fstatat(folder, name, bytes, AT_SYMLINK_NOFOLLOW) === 0 ? found() : undefined,
  }
}

function isExecutable(mode: number): boolean {
  return (mode & 0o100) !== 0
}
