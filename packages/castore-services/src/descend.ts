import { type Node, Path } from '@neve/castore-model'
import type { CallOptions } from './call-options.js'
import type { DirectoryService } from './directory-service.js'
import { DataLossError } from './errors.js'

/**
 * Finds what lies at a path below a node (spec 03 section 6). Symlinks are not followed. One lookup a component; none
 * for the empty path.
 *
 * @param path relative, names separated by single slashes; the empty one is the node itself
 * @returns undefined when there is nothing of that name, or when a file or symlink is in the way
 * @throws PathError of the model when `path` is text that is no such path
 * @throws DataLossError when a directory on the way is not stored; what the service throws
 */
export async function descend(
  directories: Pick<DirectoryService, 'get'>,
  root: Node,
  path: Path | string,
  options: CallOptions = {},
): Promise<Node | undefined> {
  options.signal?.throwIfAborted()
  const { components } = typeof path === 'string' ? Path.parse(path) : path
  let node: Node | undefined = root
  for (const name of components) {
    if (node?.kind !== 'directory') return undefined
    const { digest } = node
    const directory = await directories.get(digest, options)
    if (directory === undefined) {
      throw new DataLossError(digest, 'directory service', `directory ${digest} does not exist`)
    }
    node = directory.get(name)
  }
  return node
}
