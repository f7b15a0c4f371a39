import { type B3Digest, Directory, type DirectoryNode, type DirectorySizes } from '@neve/castore-model'
import { type CallOptions, DataLossError, type DirectoryService } from '@neve/castore-services'

/** A tree whose directories record sizes by one rule. */
export interface RewrittenTree {
  readonly root: DirectoryNode
  /** All directories of the tree, by the keys of their digests. */
  readonly directories: ReadonlyMap<string, Directory>
  /** How many of them are others than before. */
  readonly rewritten: number
}

/**
 * Makes the directories of a tree anew with sizes by a rule (DESIGN decision 2): digests of directories with directories in
 * them change, contents and NAR do not. Nothing is stored.
 *
 * Memory: the directories of the tree, twice.
 *
 * @throws DataLossError when a directory is missing; errors of the service
 */
export async function rewriteTree(
  directories: Pick<DirectoryService, 'getRecursive'>,
  root: B3Digest,
  sizes: DirectorySizes,
  options: CallOptions = {},
): Promise<RewrittenTree> {
  const closure = new Map<string, Directory>()
  for await (const directory of directories.getRecursive(root, options)) {
    closure.set(directory.digest().key, directory)
  }
  const made = new Map<string, Directory>()
  const found = new Map<string, Directory>()
  let rewritten = 0
  const open = [root]
  for (let digest = open.at(-1); digest !== undefined; digest = open.at(-1)) {
    const directory = closure.get(digest.key)
    if (directory === undefined) {
      throw new DataLossError(digest, 'the source', `directory ${digest} does not exist`)
    }
    const left = [...directory.directories()].filter(({ node }) => !made.has(node.digest.key))
    if (left.length > 0) {
      for (const { node } of left) open.push(node.digest)
      continue
    }
    open.pop()
    if (made.has(digest.key)) continue
    const entries = directory.entries.map(({ name, node }) => ({
      name,
      node: node.kind === 'directory' ? made.get(node.digest.key)!.toNode(sizes) : node,
    }))
    const now = Directory.fromEntries(entries)
    if (!now.digest().equals(digest)) rewritten++
    made.set(digest.key, now)
    found.set(now.digest().key, now)
  }
  return { root: made.get(root.key)!.toNode(sizes), directories: found, rewritten }
}
