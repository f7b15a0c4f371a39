import type { Node } from '@neve/castore-model'
import { StoreError } from './errors.js'
import { chunksOf, type MeasureContentOptions } from './measure-content.js'
import type { Store } from './store.js'
import { walkNode } from './walk-node.js'

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
