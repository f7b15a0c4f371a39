import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { wrongType } from './file-type.js'
import { displayPath, IngestPathError } from './filesystem-error.js'

/**
 * One step of a walk. Folders are entered before and left after their contents; siblings come in bytewise order of their
 * names, so the walk is the order of a NAR. Names are latin1 text: a character for each byte, whatever the encoding. The
 * root's own step has an empty name.
 */
export type WalkStep =
  | { readonly kind: 'enter'; readonly name: string; readonly path: Buffer }
  | { readonly kind: 'leave'; readonly root: boolean }
  | { readonly kind: 'file'; readonly name: string }
  | { readonly kind: 'symlink'; readonly name: string; readonly target: Buffer }

const LEAVE: WalkStep = { kind: 'leave', root: false }

/** `folder/name`. */
export function childPath(folder: Uint8Array, name: Uint8Array): Buffer {
  const slash = folder[folder.length - 1] === 0x2f ? '' : '/'
  return Buffer.concat([folder, Buffer.from(slash), name])
}

/**
 * Walks from `root` down, never through a symlink.
 *
 * @throws IngestPathError `stat` with the path that failed, `file-type`
 */
export function* walkTree(root: Buffer): Iterable<WalkStep> {
  const type = typeOf(root)
  if (type === 'file') yield { kind: 'file', name: '' }
  else if (type === 'symlink') yield { kind: 'symlink', name: '', target: readTarget(root) }
  else yield* walkFolder(root)
}

function* walkFolder(root: Buffer): Iterable<WalkStep> {
  yield { kind: 'enter', name: '', path: root }
  const open = [{ path: root, entries: listFolder(root) }]
  for (let folder = open.at(-1); folder !== undefined; folder = open.at(-1)) {
    const next = folder.entries.next()
    if (next.done === true) {
      open.pop()
      yield open.length > 0 ? LEAVE : { kind: 'leave', root: true }
      continue
    }
    const entry = next.value
    const { name } = entry
    if (entry.isFile()) {
      yield { kind: 'file', name }
      continue
    }
    const path = childPath(folder.path, Buffer.from(name, 'latin1'))
    const type = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'symlink' : typeOf(path)
    if (type === 'file') {
      yield { kind: 'file', name }
    } else if (type === 'symlink') {
      yield { kind: 'symlink', name, target: readTarget(path) }
    } else {
      yield { kind: 'enter', name, path }
      open.push({ path, entries: listFolder(path) })
    }
  }
}

interface Entry {
  readonly name: string
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

const untold = (): boolean => false

function listFolder(path: Buffer): Iterator<Entry> {
  const entries = read(path, () => entriesOf(path))
  // Of latin1 text the order of characters is that of the bytes.
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.values()
}

function entriesOf(path: Buffer): Entry[] {
  try {
    return readdirSync(path, { withFileTypes: true, encoding: 'latin1' })
  } catch (error) {
    // Where a filesystem does not tell the types in a listing, Node looks at each file: it cannot under such names.
    if (!(error instanceof TypeError)) throw error
    const names = readdirSync(path, { encoding: 'latin1' })
    return names.map((name) => ({ name, isFile: untold, isDirectory: untold, isSymbolicLink: untold }))
  }
}

function readTarget(path: Buffer): Buffer {
  return read(path, () => readlinkSync(path, { encoding: 'buffer' }))
}

function typeOf(path: Buffer): 'file' | 'symlink' | 'directory' {
  const stat: Stats = read(path, () => lstatSync(path))
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  throw new IngestPathError(
    'file-type',
    path,
    `${displayPath(path)} is ${wrongType(path, stat).message}: only regular files, directories and symlinks can be stored`,
  )
}

function read<T>(path: Buffer, action: () => T): T {
  try {
    return action()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new IngestPathError('stat', path, `cannot read ${displayPath(path)}: ${reason}`, { cause: error })
  }
}
