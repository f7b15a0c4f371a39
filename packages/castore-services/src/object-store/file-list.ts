import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { isKey } from './keys.js'
import type { ObjectMeta } from './object-store.js'

/** Folders, or files of one folder, that are looked at ahead. */
const AHEAD = 16

interface Folder {
  readonly files: readonly ObjectMeta[]
  /** Keys of the folders in it. */
  readonly folders: readonly string[]
}

/** The files below `root` whose keys begin with `prefix`. What has a name that is no key is passed over. */
export async function* listFiles(
  root: string,
  prefix: string,
  options: CallOptions,
): AsyncGenerator<ObjectMeta, void, undefined> {
  const end = prefix.lastIndexOf('/')
  const first = end < 0 ? '' : prefix.slice(0, end)
  yield* listBelow(root, [first], prefix, options)
}

async function* listBelow(
  root: string,
  folders: readonly string[],
  prefix: string,
  options: CallOptions,
): AsyncGenerator<ObjectMeta, void, undefined> {
  for await (const { files, folders: inner } of mapOrdered(
    folders,
    AHEAD,
    (folder) => readFolder(root, folder, prefix),
    options,
  )) {
    yield* files
    if (inner.length > 0) yield* listBelow(root, inner, prefix, options)
  }
}

async function readFolder(root: string, folder: string, prefix: string): Promise<Folder> {
  const files: ObjectMeta[] = []
  const folders: string[] = []
  const names = await readdir(join(root, folder)).catch(gone)
  const keys = (names ?? [])
    .map((name) => (folder === '' ? name : `${folder}/${name}`))
    .filter((key) => isKey(key) && (key.startsWith(prefix) || prefix.startsWith(`${key}/`)))
  for await (const [key, found] of mapOrdered(keys, AHEAD, (key) => describe(root, key))) {
    if (found?.isDirectory()) folders.push(key)
    else if (found?.isFile() && key.startsWith(prefix))
      files.push({ key, size: found.size, modified: found.mtimeMs })
  }
  return { files, folders }
}

async function describe(root: string, key: string) {
  return [key, await stat(join(root, key)).catch(gone)] as const
}

/** What was removed meanwhile is not there; nor is what a dangling link points to. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP') return undefined
  throw error
}
