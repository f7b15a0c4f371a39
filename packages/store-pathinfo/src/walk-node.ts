import type { Directory, Node } from '@neve/castore-model'
import { DataLossError, type DirectoryService } from '@neve/castore-services'

/** One thing in a tree. */
export interface TreeStep {
  /** Names below the root, joined by slashes; empty for the root. */
  readonly path: Uint8Array
  readonly node: Node
  /** Of a directory, its entries. */
  readonly directory: Directory | undefined
}

/**
 * Everything in a tree, in the order of a NAR: depth first, directories before what is in them.
 *
 * @throws DataLossError on iterating, when a directory is not in the store; errors of the service
 */
export async function* walkNode(
  directories: Pick<DirectoryService, 'get'>,
  root: Node,
): AsyncGenerator<TreeStep, void, undefined> {
  const open: { readonly path: Uint8Array; readonly entries: Iterator<Directory['entries'][number]> }[] = []
  let next: { path: Uint8Array; node: Node } | undefined = { path: new Uint8Array(0), node: root }
  while (next !== undefined) {
    const { path, node }: { path: Uint8Array; node: Node } = next
    const directory: Directory | undefined =
      node.kind === 'directory' ? await found(directories, node.digest) : undefined
    yield { path, node, directory }
    if (directory !== undefined) open.push({ path, entries: directory.entries.values() })
    next = undefined
    while (next === undefined && open.length > 0) {
      const folder = open.at(-1)!
      const entry = folder.entries.next()
      if (entry.done === true) open.pop()
      else next = { path: joined(folder.path, entry.value.name.bytes), node: entry.value.node }
    }
  }
}

async function found(
  directories: Pick<DirectoryService, 'get'>,
  digest: Parameters<DirectoryService['get']>[0],
): Promise<Directory> {
  const directory = await directories.get(digest)
  if (directory !== undefined) return directory
  throw new DataLossError(digest, 'this store', `directory ${digest} does not exist`)
}

function joined(folder: Uint8Array, name: Uint8Array): Uint8Array {
  return folder.length === 0 ? name : Buffer.concat([folder, Buffer.from('/'), name])
}
