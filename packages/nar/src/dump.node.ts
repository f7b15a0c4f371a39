import { Buffer } from 'node:buffer'
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs'
import { LARGE_PIECE, NarEncoder } from './encoder.js'
import { joinPath, pathBytes, showPath } from './host-path.node.js'
import { NarError } from './nar-error.js'

/** Most that is read at once. */
const PIECE = 256 * 1024
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

interface OpenDirectory {
  path: Uint8Array
  entries: Dirent[]
  index: number
}

/**
 * The archive of a file, symlink or directory on this machine, byte for byte as `nix-store --dump` writes it (spec
 * 09 section 4): entries ordered by the bytes of their names, the executable bit of the owner, links not followed.
 *
 * Anything but files, symlinks and directories, and a file that grows while it is read are `invalid-input`; one
 * that shrinks is `unexpected-eof`; all with `path`. Errors of the filesystem pass through. Pieces belong to the
 * consumer; nothing is read before it asks. Files are read with blocking calls, up to 256 KiB at a time.
 */
export async function* dumpPath(path: string | Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  const ready: Uint8Array[] = []
  const encoder = new NarEncoder((chunk) => ready.push(chunk))
  const scratch = Buffer.allocUnsafeSlow(LARGE_PIECE)
  const open: OpenDirectory[] = []
  encoder.start()
  let current: Uint8Array | undefined = pathBytes(path)
  let kind: Dirent | Stats = lstatSync(current as Buffer)
  for (;;) {
    if (current !== undefined) {
      if (kind.isDirectory()) {
        encoder.directoryStart()
        open.push({ path: current, entries: listDirectory(current), index: 0 })
      } else {
        if (kind.isSymbolicLink()) encoder.symlink(readlinkSync(current as Buffer, 'buffer'))
        else if (kind.isFile()) {
          for (const _ of dumpFile(current, encoder, scratch)) yield* ready.splice(0)
        } else throw unsupportedKind(current, kind)
        if (open.length > 0) encoder.entryEnd()
      }
      if (ready.length > 0) yield* ready.splice(0)
    }
    const directory = open.at(-1)
    if (directory === undefined) break
    const entry = directory.entries[directory.index++]
    if (entry === undefined) {
      encoder.directoryEnd()
      open.pop()
      if (open.length > 0) encoder.entryEnd()
      current = undefined
      continue
    }
    const name = nameOf(entry)
    encoder.entry(name)
    current = joinPath(directory.path, name)
    kind = isKnown(entry) ? entry : lstatSync(current as Buffer)
  }
  encoder.finish()
  yield* ready
}

/** Encodes a file, stopping after each large piece so that it can be passed on. */
function* dumpFile(path: Uint8Array, encoder: NarEncoder, scratch: Buffer): Generator<void, void, void> {
  const file = openSync(path as Buffer, OPEN_FLAGS)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw unsupportedKind(path, stat)
    encoder.fileHeader((stat.mode & constants.S_IXUSR) !== 0, BigInt(stat.size))
    for (let left = stat.size; ; ) {
      const wanted = Math.min(left + 1, PIECE)
      const buffer = stat.size < LARGE_PIECE ? scratch : Buffer.allocUnsafeSlow(wanted)
      const count = readSync(file, buffer, 0, wanted, null)
      if (count > left) throw changed('invalid-input', path, stat.size, `${stat.size + 1} or more`)
      if (count === 0 && left > 0) throw changed('unexpected-eof', path, stat.size, `${stat.size - left}`)
      encoder.content(buffer.subarray(0, count))
      left -= count
      if (left === 0 && count < wanted) break
      yield
    }
    encoder.fileEnd()
  } finally {
    closeSync(file)
  }
}

function listDirectory(path: Uint8Array): Dirent[] {
  const options = { encoding: 'buffer', withFileTypes: true } as never
  const entries = readdirSync(path as Buffer, options) as unknown[] as Dirent[]
  return entries.sort((left, right) => Buffer.compare(nameOf(left), nameOf(right)))
}

/** The types of Node say that a name is text; with buffer encoding it is bytes. */
function nameOf(entry: Dirent): Uint8Array {
  return entry.name as unknown as Uint8Array
}

function isKnown(entry: Dirent): boolean {
  return entry.isFile() || entry.isDirectory() || entry.isSymbolicLink()
}

function unsupportedKind(path: Uint8Array, kind: Dirent | Stats): NarError {
  const actual = kind.isSocket()
    ? 'a socket'
    : kind.isFIFO()
      ? 'a named pipe'
      : kind.isBlockDevice() || kind.isCharacterDevice()
        ? 'a device'
        : 'something else'
  return new NarError('invalid-input', 'cannot be archived', {
    path: showPath(path),
    expected: 'a file, a symlink or a directory',
    actual,
  })
}

function changed(
  code: 'invalid-input' | 'unexpected-eof',
  path: Uint8Array,
  size: number,
  actual: string,
): NarError {
  const details = { path: showPath(path), expected: `${size} bytes`, actual }
  return new NarError(code, 'file changed while it was read', details)
}
