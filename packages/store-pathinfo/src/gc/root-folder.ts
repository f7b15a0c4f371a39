import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'

/** So many links may lead from one to the next. */
const MAX_LINKS = 32

/**
 * The store paths that symlinks in a folder lead to, directly or by other symlinks, in it and the folders below it: the
 * form of Nix' `gcroots`. Links to anything else, or to nothing, are passed over; links to folders are followed.
 *
 * @throws StoreError `not-found` when the folder, or one below it, cannot be read
 */
export async function linkedStorePaths(folder: string): Promise<StorePath[]> {
  const found = new Map<string, StorePath>()
  const seen = new Set<string>()
  const open = [resolve(folder)]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const here = await readFolder(next, seen)
    for (const entry of here) {
      const path = join(next, entry.name)
      if (entry.isDirectory()) open.push(path)
      if (!entry.isSymbolicLink()) continue
      const target = await follow(path)
      if (target instanceof StorePath) found.set(target.toString(), target)
      else if (target !== undefined) open.push(target)
    }
  }
  return [...found.values()]
}

async function readFolder(folder: string, seen: Set<string>) {
  try {
    const real = await realpath(folder)
    if (seen.has(real)) return []
    seen.add(real)
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError('not-found', `the roots in ${folder} cannot be read: ${reason}`, undefined, {
      cause: error,
    })
  }
}

/** The store path that a link leads to, or a folder. */
async function follow(link: string): Promise<StorePath | string | undefined> {
  let path = link
  for (let links = 0; links < MAX_LINKS; links++) {
    const kind = await lstat(path).catch(() => undefined)
    if (kind === undefined) return undefined
    if (!kind.isSymbolicLink())
      return kind.isDirectory() || (await stat(path)).isDirectory() ? path : undefined
    const target = resolve(dirname(path), await readlink(path))
    const storePath = storePathOf(target)
    if (storePath !== undefined) return storePath
    path = target
  }
  return undefined
}

/** The store path that a path on the host is, or is in; it need not be there. */
function storePathOf(path: string): StorePath | undefined {
  try {
    return StorePath.parseFull(path).storePath
  } catch {
    return undefined
  }
}
