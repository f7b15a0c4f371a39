import { B3Digest, type Node } from '@neve/castore-model'
import type { CallOptions, ChunkMeta } from '@neve/castore-services'
import { decodeChunkList } from '@neve/castore-services/blob/embedded'
import { CastoreMark, DigestSet } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { PlacedFile } from './tree-check.js'

const NOWHERE = new Uint8Array(0)

/**
 * What is in an embedded store without belonging to a store path: what was put by itself, what is left of uploads. Takes 36
 * bytes of memory for each directory, blob and chunk of the store.
 */
export class LooseContent {
  readonly #engine: EmbeddedStore
  readonly #mark: CastoreMark
  /** Chunks of all blobs: they are checked with these. */
  readonly #chunks = new DigestSet()

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    this.#mark = new CastoreMark(engine, { tolerates: true })
  }

  /** Takes note of what a store path has, which is none of it. */
  passOver(node: Node, { signal }: CallOptions): Promise<void> {
    return this.#mark.node(node, signal)
  }

  *directories(): Generator<B3Digest, void, undefined> {
    for (const key of this.#engine.keys('directories')) {
      if (!this.#mark.directories.has(key) && this.#engine.has('directories', key)) yield B3Digest.from(key)
    }
  }

  /**
   * Blobs in chunks, then content that is a chunk of none of them.
   *
   * @param damaged told of lists of chunks that cannot be read
   */
  async *files(
    damaged: (digest: B3Digest, error: unknown) => Promise<void>,
  ): AsyncGenerator<PlacedFile, void, undefined> {
    for (const [key, list] of this.#engine.entries('blobs')) {
      const digest = B3Digest.from(key)
      let chunks: readonly ChunkMeta[]
      try {
        chunks = decodeChunkList(digest, list, `embedded:${this.#engine.path}`)
      } catch (error) {
        if (!this.#mark.blobs.has(key)) await damaged(digest, error)
        continue
      }
      let size = 0n
      for (const chunk of chunks) {
        this.#chunks.add(chunk.digest.bytes)
        size += BigInt(chunk.size)
      }
      if (this.#mark.blobs.has(key) || !this.#engine.has('blobs', key)) continue
      yield { file: { kind: 'file', digest, size, executable: false }, path: NOWHERE }
    }
    for (const [key, { rawLength }] of this.#engine.locations()) {
      if (this.#mark.blobs.has(key) || this.#chunks.has(key) || !this.#engine.hasContent(key)) continue
      const digest = B3Digest.from(key)
      yield { file: { kind: 'file', digest, size: BigInt(rawLength), executable: false }, path: NOWHERE }
    }
  }

  /** Whether a directory or blob is not there any more: garbage may be collected meanwhile. */
  isGone({ bytes }: B3Digest): boolean {
    const engine = this.#engine
    return !engine.has('directories', bytes) && !engine.has('blobs', bytes) && !engine.hasContent(bytes)
  }
}
