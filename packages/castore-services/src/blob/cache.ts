import type { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import { DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import type { CacheInit, CacheWrites } from '../combine/cache-policy.js'
import { expectStored } from '../combine/expect-digest.js'
import { isTrouble, type OnTrouble } from '../combine/trouble.js'
import { WriteBehind } from '../combine/write-behind.js'
import { LruMap } from '../concurrency/lru-map.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { BlobTooLargeError, CastoreError, DataLossError } from '../errors.js'
import { CacheFills } from './cache-fills.js'
import { CacheBlobReader } from './cache-reader.js'
import { WriteBackWriter, WriteThroughWriter } from './cache-writer.js'
import { ChunkedBlobReader, type FetchChunk } from './chunked-reader.js'
import { FailoverBlobReader } from './failover-reader.js'
import { MemoryBlobReader } from './memory-reader.js'
import { getPiece, properList } from './piece.js'
import { blobStream } from './stream.js'

export type { CacheInit, CacheWrites } from '../combine/cache-policy.js'

/** What a {@link CacheBlobService} is made of. */
export interface CacheBlobServiceInit extends CacheInit<BlobService> {
  /** How many bytes may be held that the near side has still to take, in bytes. Default: 64 MiB. */
  readonly fillBytes?: number | undefined
}

const BACKEND = 'cache'
const REMEMBERED_LISTS = 64

/**
 * A near blob service that keeps what is read from a far one.
 *
 * What the near side lacks is fetched from the far one once, however many ask at the same time:
 * - a blob below 1 MiB, or a chunk, is answered with at once and stored near behind the answer. Only when `fillBytes`
 *   wait to be stored does a read wait for room;
 * - a chunked blob that is streamed whole is stored near as it passes, complete with its chunk list. A stream that is
 *   left early stores nothing: to go on reading what nobody wants any more would cost as much again of the far side, and
 *   what was written near would be content without a list, which no `open` finds;
 * - a larger blob that the far side has in one piece is copied near before `open` answers: there is no other way to
 *   read it at random without fetching it again and again.
 *
 * Trouble of the near side never fails a read: a damaged or unreachable near copy counts as missing, is reported to
 * `onTrouble`, and is stored again. Writes: see `CacheWrites`. The sides stay the caller's, who closes them after this.
 */
export class CacheBlobService implements BlobService {
  readonly #near: BlobService
  readonly #far: BlobService
  readonly #writes: CacheWrites
  readonly #onTrouble: OnTrouble | undefined
  readonly #fills: CacheFills
  readonly #behind: WriteBehind
  readonly #flights = new SingleFlight<string, Uint8Array | undefined>()
  readonly #lists = new LruMap<string, readonly ChunkMeta[]>(REMEMBERED_LISTS)

  constructor({
    near,
    far,
    writes = 'through',
    fillBytes = 64 * 1024 * 1024,
    onTrouble,
  }: CacheBlobServiceInit) {
    this.#near = near
    this.#far = far
    this.#writes = writes
    this.#onTrouble = onTrouble
    this.#fills = new CacheFills(near, fillBytes, (error) => this.#reportNear(error))
    this.#behind = new WriteBehind(
      (digest) => this.#copyToFar(digest),
      (error) => onTrouble?.({ store: 'far', error }),
    )
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    const near = await this.#askNear(() => this.#near.has(digest, options), options)
    return near || (await this.#far.has(digest, options))
  }

  async chunks(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    const near = await this.#askNear(() => this.#near.chunks(digest, options), options)
    return properList(near ?? (await this.#far.chunks(digest, options)))
  }

  async open(digest: B3Digest, options: CallOptions = {}): Promise<BlobReader | undefined> {
    const near = await this.#askNear(() => this.#near.open(digest, options), options)
    return near ? this.#guarded(digest, near) : this.#openFar(digest, options)
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE } = options
    const near = await this.#askNear(() => this.#near.get(digest, options), options)
    // A little more than was asked for may be fetched, so that calls with other limits can share it.
    const limit = Math.max(maxSize, DEFAULT_GET_MAX_SIZE)
    const content = near ?? (await this.#fetch(digest, limit, options))
    if (content === undefined || content.length <= maxSize) return content
    throw new BlobTooLargeError(digest, BigInt(content.length), maxSize)
  }

  openWrite(options?: CallOptions): BlobWriter {
    if (this.#writes === 'back') {
      return new WriteBackWriter(this.#near, (digest) => this.#behind.add(digest), options)
    }
    return new WriteThroughWriter(this.#near, this.#far, (error) => this.#reportNear(error), options)
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    if (this.#writes === 'back') {
      const digest = await this.#near.put(content, options)
      this.#behind.add(digest)
      return digest
    }
    const digest = await this.#far.put(content, options)
    try {
      expectStored(await this.#near.put(content), digest, 'the near side')
    } catch (error) {
      this.#reportNear(error)
    }
    return digest
  }

  /**
   * Waits until the far side has everything that was written, with `writes: 'back'`; what failed is tried again.
   *
   * @throws the first error of the far side; what it did not take is tried again by the next call
   */
  async flush(options?: CallOptions): Promise<void> {
    await this.#behind.flush(options)
  }

  /** Waits until the near side has what was read, and the far side what was written. @throws as {@link flush} */
  async close(): Promise<void> {
    await this.#fills.settled()
    await this.#behind.flush()
  }

  /** A blob, or nothing if it is too large for one piece: from what is on its way near, or from the far side. */
  async #fetch(digest: B3Digest, limit: number, options: CallOptions): Promise<Uint8Array | undefined> {
    const filling = this.#fills.get(digest)
    if (filling !== undefined) return filling
    const work = async (signal: AbortSignal) => {
      const content = await this.#far.get(digest, { maxSize: limit, signal })
      if (content !== undefined) await this.#fills.start(digest, content, { signal })
      return content
    }
    return this.#flights.run(`${limit} ${digest.key}`, work, options)
  }

  /** A chunk from the near side, or else from the far one. */
  #fetchChunk(store: boolean): FetchChunk {
    return async (chunk, options) => {
      const near = await this.#askNear(() => getPiece(this.#near, chunk, 'near', options), options)
      const held = near ?? this.#fills.get(chunk.digest)
      if (held !== undefined) return held
      const work = (signal: AbortSignal) => getPiece(this.#far, chunk, 'far', { signal })
      const content = await this.#flights.run(`chunk ${chunk.digest.key}`, work, options)
      if (content !== undefined && store) await this.#fills.start(chunk.digest, content, options)
      return content
    }
  }

  async #openFar(digest: B3Digest, options: CallOptions): Promise<BlobReader | undefined> {
    const known = this.#lists.get(digest.key)
    if (known !== undefined) return this.#chunkedReader(digest, known)
    try {
      const content = await this.#fetch(digest, DEFAULT_GET_MAX_SIZE, options)
      return content && new MemoryBlobReader(content)
    } catch (error) {
      if (!(error instanceof CastoreError) || error.code !== 'too-large') throw error
    }
    const chunks = properList(await this.#far.chunks(digest, options))
    if (chunks !== undefined && chunks.length > 0) {
      const reader = this.#chunkedReader(digest, chunks)
      this.#lists.set(digest.key, chunks)
      return reader
    }
    return this.#openWhole(digest, options)
  }

  async #openWhole(digest: B3Digest, options: CallOptions): Promise<BlobReader | undefined> {
    const far = await this.#far.open(digest, options)
    if (far === undefined) return undefined
    let near: BlobReader | undefined
    try {
      if (await this.#fills.pull(digest, far, options)) {
        near = await this.#askNear(() => this.#near.open(digest, options), options)
      }
    } catch (error) {
      await far.close()
      throw error
    }
    if (near === undefined) return far
    await far.close()
    return near
  }

  #chunkedReader(digest: B3Digest, chunks: readonly ChunkMeta[]): BlobReader {
    // Both sides have checked what they give; the list itself is checked where the whole is streamed.
    const init = { digest, chunks, backend: BACKEND, verifyChunks: false }
    return new CacheBlobReader({
      chunks: new ChunkedBlobReader({ ...init, fetch: this.#fetchChunk(true) }),
      plain: new ChunkedBlobReader({ ...init, fetch: this.#fetchChunk(false) }),
      tee: (pieces) =>
        this.#fills.tee(
          digest,
          chunks.reduce((sum, { size }) => sum + size, 0n),
          pieces,
        ),
    })
  }

  /** A near reader that goes on at the far side where the near copy turns out to be damaged. */
  #guarded(digest: B3Digest, near: BlobReader): BlobReader {
    const places = [
      { name: 'near', service: (call: CallOptions) => this.#near.open(digest, call) },
      { name: 'far', service: (call: CallOptions) => this.#openFar(digest, call) },
    ]
    return new FailoverBlobReader(places, near, 0, this.#onTrouble)
  }

  async #copyToFar(digest: B3Digest): Promise<void> {
    const source = await this.#near.open(digest)
    if (source === undefined) {
      throw new DataLossError(digest, 'near', `blob ${digest} was lost before it was copied to the far side`)
    }
    await using reader = source
    await using writer = this.#far.openWrite()
    for await (const piece of blobStream(reader)) await writer.write(piece)
    expectStored(await writer.close(), digest, 'the far side')
  }

  async #askNear<T>(ask: () => Promise<T>, options: CallOptions): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (!isTrouble(error, options)) throw error
      this.#reportNear(error)
      return undefined
    }
  }

  #reportNear(error: unknown): void {
    this.#onTrouble?.({ store: 'near', error })
  }
}
