import type { B3Digest, FileNode, Node } from '@neve/castore-model'
import type { ChunkMeta } from '@neve/castore-services'
import type { Store } from '@neve/store-pathinfo'
import { walkNode } from '../tree-walk.js'

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
  /** Bytes that the different chunks take in the store, compressed. */
  readonly storedBytes: bigint
  /** Different chunks that the store should have and has not. */
  readonly missingChunks: number
}

/** A chunk of a file, with what it takes in the store: undefined when it is not there. */
export interface StoredChunk extends ChunkMeta {
  readonly storedBytes: number | undefined
}

/**
 * Counts what is below a node. Reads directories and chunk lists, no content.
 *
 * @throws DataLossError when a directory is missing; errors of the services; the signal's reason
 */
export async function measureContent(store: Store, root: Node, signal: AbortSignal): Promise<ContentMeasure> {
  const blobs = new Map<string, { readonly node: FileNode; times: number }>()
  let [files, directories, symlinks, bytes] = [0, 0, 0, 0n]
  for await (const { node } of walkNode(store.directories, root)) {
    signal.throwIfAborted()
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
    signal.throwIfAborted()
    for (const chunk of await chunksOf(store, node)) {
      chunks += times
      const known = seen.get(chunk.digest.key)
      if (known === undefined) seen.set(chunk.digest.key, { chunk, times })
      else known.times += times
    }
  }
  const distinct = [...seen.values()]
  const stored = distinct.map(({ chunk }) => chunk.storedBytes)
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
    storedBytes: BigInt(stored.reduce<number>((sum, length) => sum + (length ?? 0), 0)),
    missingChunks: stored.filter((length) => length === undefined).length,
  }
}

/** The chunks of a file in order: itself where it is a single one, none where it is empty. */
export async function chunksOf(store: Store, file: FileNode): Promise<readonly StoredChunk[]> {
  if (file.size === 0n) return []
  const list = await store.blobs.chunks(file.digest)
  const chunks = list === undefined || list.length === 0 ? [file] : list
  return chunks.map(({ digest, size }) => ({ digest, size, storedBytes: storedBytes(store, digest) }))
}

function storedBytes(store: Store, digest: B3Digest): number | undefined {
  return store.engine.locate(digest.bytes)?.storedLength
}
