import type { FileNode, Node } from '@neve/castore-model'
import type { CallOptions, ChunkMeta } from '@neve/castore-services'
import { engineOf } from '@neve/castore-services/blob/embedded'
import { StoreError } from './errors.js'
import type { Store } from './store.js'
import { walkNode } from './walk-node.js'

/** What a tree, or a single file, is made of and what it takes in the store. */
export interface ContentMeasure {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of all files. */
  readonly bytes: bigint
  /** How many different contents the files have. */
  readonly blobs: number
  /** Chunks of all files, one after the other; a small file is a single one. */
  readonly chunks: number
  /** Different ones among them. */
  readonly distinctChunks: number
  /** Different ones that appear more than once. */
  readonly sharedChunks: number
  /** Bytes of the different chunks. */
  readonly distinctBytes: bigint
  /** Bytes that the different chunks take in the store, compressed; undefined where only an embedded store could tell. */
  readonly storedBytes: bigint | undefined
  /** Different chunks that the store should have and has not; elsewhere than in an embedded store, whole blobs. */
  readonly missingChunks: number
}

/** A chunk of a file. */
export interface StoredChunk extends ChunkMeta {
  /** What it takes in the store; undefined when it is not there, or where only an embedded store could tell. */
  readonly storedBytes: number | undefined
  readonly missing: boolean
}

/** Options of {@link measureContent}. */
export interface MeasureContentOptions extends CallOptions {
  /** The most entries to look at. Default: no limit. */
  readonly maxEntries?: number | undefined
}

/**
 * Counts what is below a node. Reads directories and chunk lists, no content.
 *
 * @throws StoreError `too-large` beyond `maxEntries`; DataLossError when a directory is missing; errors of the services;
 *   the signal's reason
 */
export async function measureContent(
  store: Pick<Store, 'blobs' | 'directories'>,
  root: Node,
  { signal, maxEntries = Number.POSITIVE_INFINITY }: MeasureContentOptions = {},
): Promise<ContentMeasure> {
  let entries = 0
  const blobs = new Map<string, { readonly node: FileNode; times: number }>()
  let [files, directories, symlinks, bytes] = [0, 0, 0, 0n]
  for await (const { node } of walkNode(store.directories, root)) {
    signal?.throwIfAborted()
    if (++entries > maxEntries) {
      throw new StoreError('too-large', `expected at most ${maxEntries} entries to measure`)
    }
    if (node.kind === 'directory') directories++
    else if (node.kind === 'symlink') symlinks++
    else {
      files++
      bytes += node.size
      const known = blobs.get(node.digest.key)
      if (known === undefined) blobs.set(node.digest.key, { node, times: 1 })
      else known.times++
    }
  }
  const seen = new Map<string, { readonly chunk: StoredChunk; times: number }>()
  let chunks = 0
  for (const { node, times } of blobs.values()) {
    signal?.throwIfAborted()
    for (const chunk of await chunksOf(store, node)) {
      chunks += times
      const known = seen.get(chunk.digest.key)
      if (known === undefined) seen.set(chunk.digest.key, { chunk, times })
      else known.times += times
    }
  }
  const distinct = [...seen.values()]
  return {
    files,
    directories,
    symlinks,
    bytes,
    blobs: blobs.size,
    chunks,
    distinctChunks: distinct.length,
    sharedChunks: distinct.filter(({ times }) => times > 1).length,
    distinctBytes: distinct.reduce((sum, { chunk }) => sum + chunk.size, 0n),
    storedBytes:
      engineOf(store.blobs) === undefined
        ? undefined
        : distinct.reduce((sum, { chunk }) => sum + BigInt(chunk.storedBytes ?? 0), 0n),
    missingChunks: distinct.filter(({ chunk }) => chunk.missing).length,
  }
}

/** The chunks of a file in order: itself where it is a single one, none where it is empty. */
export async function chunksOf(store: Pick<Store, 'blobs'>, file: FileNode): Promise<readonly StoredChunk[]> {
  if (file.size === 0n) return []
  const list = await store.blobs.chunks(file.digest)
  const chunks = list === undefined || list.length === 0 ? [file] : list
  const engine = engineOf(store.blobs)
  return chunks.map(({ digest, size }) => {
    const storedBytes = engine?.locate(digest.bytes)?.storedLength
    const missing = engine === undefined ? list === undefined : storedBytes === undefined
    return { digest, size, storedBytes, missing }
  })
}
