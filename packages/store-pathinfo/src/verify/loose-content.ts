import { B3Digest, type Node } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { chunkListSize } from '@neve/castore-services/blob/embedded'
import { CastoreMark, DigestSet } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { SoundDigests } from './sound-digests.js'

/** An entry of a list of chunks: digest and length. */
const LIST_ENTRY = 36

/** A blob by its digest, which is good until the next is asked for. The size is in bytes. */
export interface LooseBlob {
  readonly digest: Uint8Array
  readonly size: number
}

/**
 * What is in an embedded store without belonging to a store path: what was put by itself, what is left of uploads. Takes 36
 * bytes of memory for each directory, blob and chunk of the store.
 */
export class LooseContent {
  readonly #engine: EmbeddedStore
  readonly #mark: CastoreMark
  readonly #sound: SoundDigests
  /** Chunks of all blobs: they are checked with these. */
  readonly #chunks = new DigestSet()

  /** @param sound what was found to be sound, and so was looked at */
  constructor(engine: EmbeddedStore, sound: SoundDigests) {
    this.#engine = engine
    this.#sound = sound
    this.#mark = new CastoreMark(engine, { tolerates: true })
  }

  /** Takes note of what a store path has, which is none of it; sound or not. */
  passOver(node: Node, { signal }: CallOptions): Promise<void> {
    return this.#mark.node(node, signal)
  }

  *directories(): Generator<B3Digest, void, undefined> {
    for (const key of this.#engine.keys('directories')) {
      if (this.#sound.directories.has(key) || this.#mark.directories.has(key)) continue
      if (this.#engine.has('directories', key)) yield B3Digest.from(key)
    }
  }

  /**
   * Blobs in chunks, then content that is a chunk of none of them.
   *
   * @param damaged told of lists of chunks that cannot be read
   */
  async *blobs(
    damaged: (digest: B3Digest, error: unknown) => Promise<void>,
  ): AsyncGenerator<LooseBlob, void, undefined> {
    const backend = `embedded:${this.#engine.path}`
    for (const [key, list] of this.#engine.entries('blobs')) {
      const digest = B3Digest.from(key)
      let size: bigint
      try {
        size = chunkListSize(digest, list, backend)
      } catch (error) {
        if (!this.#isOfPath(key)) await damaged(digest, error)
        continue
      }
      for (let at = 0; at < list.length; at += LIST_ENTRY) this.#chunks.add(list, at)
      if (!this.#isOfPath(key) && this.#engine.has('blobs', key)) yield { digest: key, size: Number(size) }
    }
    for (const [key, { rawLength }] of this.#engine.locations()) {
      if (this.#isOfPath(key) || this.#chunks.has(key) || !this.#engine.hasContent(key)) continue
      yield { digest: key, size: rawLength }
    }
  }

  #isOfPath(blob: Uint8Array): boolean {
    return this.#sound.blobs.has(blob) || this.#mark.blobs.has(blob)
  }

  /** Whether a directory or blob is not there any more: garbage may be collected meanwhile. */
  isGone({ bytes }: B3Digest): boolean {
    const engine = this.#engine
    return !engine.has('directories', bytes) && !engine.has('blobs', bytes) && !engine.hasContent(bytes)
  }
}
