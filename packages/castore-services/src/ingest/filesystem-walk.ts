import { type Dirent, lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { wrongType } from './file-type.js'
import { displayPath, IngestPathError } from './filesystem-error.js'

/**
 * One step of a walk. Folders are entered before and left after their contents; siblings come in bytewise order of their
 * names, so the walk is the order of a NAR.
 */
export type WalkStep =
  | { readonly kind: 'enter'; readonly name: Buffer; readonly path: Buffer }
  | { readonly kind: 'leave' }
  | { readonly kind: 'file'; readonly name: Buffer; readonly folder: Buffer }
  | { readonly kind: 'symlink'; readonly name: Buffer; readonly target: Buffer }

const SLASH = Buffer.from('/')

/** `folder/name`. */
export function childPath(folder: Buffer, name: Buffer): Buffer {
  if (folder.length === 0) return name
  return folder[folder.length - 1] === 0x2f
    ? Buffer.concat([folder, name])
    : Buffer.concat([folder, SLASH, name])
}

/**
 * Walks from `root` down, never through a symlink. The root's own step has an empty name; a file as the root has an
 * empty folder and its path as the name.
 *
 * @throws IngestPathError `stat` with the path that failed, `file-type`
 */
export function* walkTree(root: Buffer): Iterable<WalkStep> {
  const stat = read(root, () => lstatSync(root))
  if (stat.isSymbolicLink()) {
    yield {
      kind: 'symlink',
      name: Buffer.alloc(0),
      target: read(root, () => readlinkSync(root, { encoding: 'buffer' })),
    }
  } else if (stat.isFile()) {
    yield { kind: 'file', name: root, folder: Buffer.alloc(0) }
  } else if (stat.isDirectory()) {
    yield* walkFolder(root)
  } else {
    throw unsupported(root, stat)
  }
}

function* walkFolder(root: Buffer): Iterable<WalkStep> {
  yield { kind: 'enter', name: Buffer.alloc(0), path: root }
  const open: { readonly path: Buffer; readonly entries: Iterator<Dirent<Buffer>> }[] = [
    { path: root, entries: listFolder(root) },
  ]
  for (let folder = open.at(-1); folder !== undefined; folder = open.at(-1)) {
    const next = folder.entries.next()
    if (next.done === true) {
      yield { kind: 'leave' }
      open.pop()
      continue
    }
    const { name } = next.value
    const type = typeOf(folder.path, next.value)
    if (type === 'file') {
      yield { kind: 'file', name, folder: folder.path }
    } else if (type === 'symlink') {
      const path = childPath(folder.path, name)
      yield { kind: 'symlink', name, target: read(path, () => readlinkSync(path, { encoding: 'buffer' })) }
    } else {
      const path = childPath(folder.path, name)
      yield { kind: 'enter', name, path }
      open.push({ path, entries: listFolder(path) })
    }
  }
}

function listFolder(path: Buffer): Iterator<Dirent<Buffer>> {
  const entries = read(path, () => readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))
  entries.sort((a, b) => Buffer.compare(a.name, b.name))
  return entries.values()
}

function typeOf(folder: Buffer, entry: Dirent<Buffer>): 'file' | 'symlink' | 'directory' {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  if (entry.isSymbolicLink()) return 'symlink'
  // Some filesystems do not tell types in listings.
  const path = childPath(folder, entry.name)
  const stat = read(path, () => lstatSync(path))
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  throw unsupported(path, stat)
}

function unsupported(path: Buffer, stat: Stats): IngestPathError {
  return new IngestPathError(
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
