import { setImmediate } from 'node:timers/promises'
import type { Node } from '@neve/castore-model'
import { StoreError } from './errors.js'
import { chunksOf, type MeasureContentOptions } from './measure-content.js'
import type { Store } from './store.js'
import { walkNode } from './walk-node.js'

const TURN = 500

/** How much of the content of one tree is in another one. */
export interface SharedContent {
  /** Different chunks of the first tree. */
  readonly chunks: number
  /** Bytes of these. */
  readonly bytes: bigint
  /** Those of them that the second tree has too. */
  readonly sharedChunks: number
  /** Bytes of these. */
  readonly sharedBytes: bigint
}

/**
 * Compares the content of two trees chunk by chunk. Reads directories and chunk lists, no content.
 *
 * @throws StoreError `too-large` when one has more than `maxEntries`; DataLossError when a directory is missing; errors of
 *   the services; the signal's reason
 */
export async function sharedContent(
  store: Pick<Store, 'blobs' | 'directories'>,
  tree: Node,
  other: Node,
  options: MeasureContentOptions = {},
): Promise<SharedContent> {
  const there = await chunkSizes(store, other, options)
  let [chunks, bytes, sharedChunks, sharedBytes] = [0, 0n, 0, 0n]
  for (const [digest, size] of await chunkSizes(store, tree, options)) {
    chunks++
    bytes += size
    if (!there.has(digest)) continue
    sharedChunks++
    sharedBytes += size
  }
  return { chunks, bytes, sharedChunks, sharedBytes }
}

/** How much of the content of one tree is in any of others. */
export interface ContentSharedWithOthers extends SharedContent {
  /** How many others were looked at. */
  readonly others: number
  /** Whether that was all of them, or enough of them to know. */
  readonly complete: boolean
}

/**
 * Compares the content of a tree with that of many others, chunk by chunk; what several of these have in common is looked
 * at once. Ends when `maxEntries` different files and directories were looked at. A directory that is missing is passed
 * over.
 *
 * @throws StoreError `too-large` when the tree itself has more than `maxEntries`; errors of the services; the signal's
 *   reason
 */
export async function sharedWithOthers(
  store: Pick<Store, 'blobs' | 'directories'>,
  tree: Node,
  others: AsyncIterable<Node>,
  options: MeasureContentOptions = {},
): Promise<ContentSharedWithOthers> {
  const { signal, maxEntries = Number.POSITIVE_INFINITY } = options
  const left = await chunkSizes(store, tree, options)
  const chunks = left.size
  const bytes = [...left.values()].reduce((sum, size) => sum + size, 0n)
  const seen = new Set<string>()
  let [looked, sharedChunks, sharedBytes] = [0, 0, 0n]
  const result = (complete: boolean) => ({
    ...{ chunks, bytes, sharedChunks, sharedBytes, others: looked, complete },
  })
  for await (const other of others) {
    if (left.size === 0) break
    looked++
    const open: Node[] = [other]
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      signal?.throwIfAborted()
      if (node.kind === 'symlink') continue
      const key = `${node.kind} ${node.digest.key}`
      if (seen.has(key)) continue
      if (seen.size === maxEntries) return result(false)
      seen.add(key)
      // Looking up in a table of this machine never waits: others get their turn.
      if (seen.size % TURN === 0) await setImmediate(undefined, { signal })
      if (node.kind === 'directory') {
        const directory = await store.directories.get(node.digest, { signal })
        for (const entry of directory?.entries ?? []) open.push(entry.node)
        continue
      }
      for (const { digest, size } of await chunksOf(store, node)) {
        if (!left.delete(digest.key)) continue
        sharedChunks++
        sharedBytes += size
      }
    }
  }
  return result(true)
}

/** The different chunks of a tree. */
async function chunkSizes(
  store: Pick<Store, 'blobs' | 'directories'>,
  root: Node,
  { signal, maxEntries = Number.POSITIVE_INFINITY }: MeasureContentOptions,
): Promise<Map<string, bigint>> {
  const sizes = new Map<string, bigint>()
  const seen = new Set<string>()
  let entries = 0
  for await (const { node } of walkNode(store.directories, root)) {
    signal?.throwIfAborted()
    if (++entries > maxEntries) {
      throw new StoreError('too-large', `expected at most ${maxEntries} entries to compare`)
    }
    if (node.kind !== 'file' || seen.has(node.digest.key)) continue
    seen.add(node.digest.key)
    for (const { digest, size } of await chunksOf(store, node)) sizes.set(digest.key, size)
  }
  return sizes
}
