import {
  B3Digest,
  decodeStatBlobResponse,
  MalformedMessageError,
  ValidateStatBlobResponseError,
} from '@neve/castore-model'
import { Status } from 'nice-grpc-common'
import { ChunkedBlobReader } from '../blob/chunked-reader.js'
import { MemoryBlobReader } from '../blob/memory-reader.js'
import {
  type BlobReader,
  type BlobService,
  type BlobWriter,
  type ChunkMeta,
  DEFAULT_GET_MAX_SIZE,
  type GetBlobOptions,
  type OpenBlobOptions,
} from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { BlobTooLargeError, DataLossError } from '../errors.js'
import { BlobBatches } from './blob-batches.js'
import { blobMessages } from './blob-messages.js'
import { GrpcBlobWriter } from './blob-writer.js'
import { GrpcCaller } from './call.js'
import { BLOB_GRPC_SERVICE, type BlobMethods } from './castore-definitions.js'
import type { GrpcChannel } from './channel.js'
import { expectStored } from './expect-stored.js'
import { concatenated, expectDigest, spool } from './spooled-blob.js'
import { GrpcStatusError } from './status-error.js'
import { withData } from './with-data.js'

const NOTHING = new Uint8Array(0)
/** A blob without a chunk list that is larger is read by way of a file. */
const SPOOL_THRESHOLD = 8 * 1024 * 1024
/** A chunk is held in memory whole. No chunker cuts larger ones; a stranger's list that has some is not used. */
const MAX_CHUNK_SIZE = 16n * 1024n * 1024n
/** A blob that is said to have no more bytes is read without asking for its chunks. */
const MAX_SIZE_UNASKED = 128n * 1024n
/** How many chunks to ask for at once when reading in order. */
const READ_AHEAD = 8
/** How far to go on counting a blob that is too large for `get`, in bytes. */
const COUNT_LIMIT = 64 * 1024 * 1024

/** Options of a client of blobs. */
export interface GrpcBlobServiceOptions {
  /**
   * The largest blob to take whole, in bytes, of which the server does not tell the chunks: it goes to a temporary file,
   * and how long it is shows only in the end. Default: 64 GiB.
   */
  readonly maxWholeSize?: number | undefined
}

const DEFAULT_MAX_WHOLE_SIZE = 64 * 1024 ** 3

/**
 * The blobs of a gRPC server that offers `BlobService` (spec 02 section 14), Tvix's, Snix' or ours. Nothing that it says is believed: contents
 * are hashed before anybody sees them. A blob of which the server tells the chunks is read by the chunk; any other one
 * is taken in whole, in memory or, when large, in a temporary file.
 */
export class UnsplitBlobService implements BlobService {
  readonly #channel: GrpcChannel
  readonly #caller: GrpcCaller<BlobMethods>

  readonly #batches: BlobBatches
  readonly #maxWholeSize: number

  /** @param channel stays the caller's: closing the service does not close it */
  constructor(channel: GrpcChannel, options: GrpcBlobServiceOptions = {}) {
    this.#channel = channel
    this.#maxWholeSize = options.maxWholeSize ?? DEFAULT_MAX_WHOLE_SIZE
    this.#caller = new GrpcCaller(channel, BLOB_GRPC_SERVICE)
    this.#batches = new BlobBatches(channel, {
      has: async (digest, signal) => (await this.#stat(digest, false, { signal })) !== undefined,
      get: (digest, maxSize, signal) => this.#getAlone(digest, maxSize, { signal }),
      put: (digest, content, signal) => this.#putAlone(digest, content, { signal }),
    })
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return true
    return await this.#batches.has(digest, options.signal)
  }

  async open(digest: B3Digest, { sizeHint, signal }: OpenBlobOptions = {}): Promise<BlobReader | undefined> {
    signal?.throwIfAborted()
    const options = { signal }
    if (digest.equals(B3Digest.EMPTY)) return new MemoryBlobReader(NOTHING)
    if (sizeHint !== undefined && sizeHint <= MAX_SIZE_UNASKED) {
      // Nobody cuts so little into chunks: to ask whether somebody did would take as long as to read it.
      const content = await this.#readWhole(digest, Number(MAX_SIZE_UNASKED), options)
      if (content === undefined) return undefined
      if (typeof content !== 'number') return new MemoryBlobReader(this.#verified(digest, content))
    }
    const chunks = await this.chunks(digest, options)
    if (chunks === undefined) return undefined
    if (chunks.length === 0 || chunks.some(({ size }) => size > MAX_CHUNK_SIZE)) {
      return await this.#openWhole(digest, options)
    }
    return new ChunkedBlobReader({
      digest,
      chunks,
      backend: this.#channel.name,
      fetch: (chunk, callOptions) => this.#fetch(chunk, callOptions),
      readAll: (callOptions) => this.#read(digest, callOptions),
      concurrency: READ_AHEAD,
      cachedChunks: READ_AHEAD,
    })
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new GrpcBlobWriter(this.#caller, options)
  }

  async chunks(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    const answer = await this.#stat(digest, true, options)
    if (answer === undefined) return undefined
    try {
      const chunks = decodeStatBlobResponse(answer)
      // One entry is the blob itself, or says no more than that (spec 02 section 2).
      return chunks.length < 2 ? [] : chunks
    } catch (error) {
      const known = error instanceof ValidateStatBlobResponseError || error instanceof MalformedMessageError
      if (!known) throw error
      throw new DataLossError(
        digest,
        this.#channel.name,
        `bad answer about blob ${digest}: ${error.message}`,
        {
          cause: error,
        },
      )
    }
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE, signal } = options
    signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return NOTHING
    return await this.#batches.get(digest, maxSize, signal)
  }

  async put(content: Uint8Array, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    const digest = B3Digest.of(content)
    await this.#batches.put(digest, content, signal)
    return digest
  }

  async #getAlone(digest: B3Digest, maxSize: number, options: CallOptions): Promise<Uint8Array | undefined> {
    const content = await this.#readWhole(digest, maxSize, options)
    if (typeof content === 'number') {
      throw new BlobTooLargeError(digest, await this.#sizeOf(digest, content, options), maxSize)
    }
    return content && this.#verified(digest, content)
  }

  async #putAlone(digest: B3Digest, content: Uint8Array, options: CallOptions): Promise<void> {
    const answer = await this.#caller.upload(
      (client) => client.Put(options),
      () => blobMessages(content),
      options,
    )
    expectStored(this.#channel.name, digest, answer.digest)
  }

  /** The answer to a Stat, undecoded; undefined when the server does not have the blob. */
  async #stat(digest: B3Digest, sendChunks: boolean, options: CallOptions): Promise<Uint8Array | undefined> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return NOTHING
    const request = { digest: digest.bytes, send_chunks: sendChunks }
    try {
      return await this.#caller.call((client) => client.Stat(request, options), options)
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw this.#explain(error, digest)
    }
  }

  /** The data of a blob or a chunk, unchecked. Undefined, before the first piece, when the server does not have it. */
  async *#read(digest: B3Digest, options: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const request = { digest: digest.bytes }
    try {
      const pieces = this.#caller.stream((client) => client.Read(request, options), options)
      yield* withData(pieces, `${this.#channel.name}: blob ${digest}`)
    } catch (error) {
      throw this.#explain(error, digest)
    }
  }

  /**
   * The bytes of a blob, unchecked; undefined when the server does not have it.
   *
   * @returns how many came, when they are more than `maxSize`; the rest is left
   */
  async #readWhole(
    digest: B3Digest,
    maxSize: number,
    options: CallOptions,
  ): Promise<Uint8Array | number | undefined> {
    const pieces: Uint8Array[] = []
    let length = 0
    try {
      for await (const piece of this.#read(digest, options)) {
        length += piece.length
        if (length > maxSize) return length
        pieces.push(piece)
      }
    } catch (error) {
      if (pieces.length === 0 && isNotFound(error)) return undefined
      throw this.#explain(error, digest, true)
    }
    return concatenated(pieces, length)
  }

  #verified(digest: B3Digest, content: Uint8Array): Uint8Array {
    expectDigest(B3Digest.of(content), digest, this.#channel.name)
    return content
  }

  async #fetch({ digest, size }: ChunkMeta, options: CallOptions): Promise<Uint8Array | undefined> {
    const content = await this.#readWhole(digest, Number(size), options)
    if (typeof content !== 'number') return content
    const detail = `chunk ${digest} has at least ${content} bytes, expected ${size}`
    throw new DataLossError(digest, this.#channel.name, detail)
  }

  async #openWhole(digest: B3Digest, options: CallOptions): Promise<BlobReader | undefined> {
    const init = {
      digest,
      backend: this.#channel.name,
      threshold: SPOOL_THRESHOLD,
      limit: this.#maxWholeSize,
    }
    try {
      return await spool(this.#read(digest, options), init)
    } catch (error) {
      // Between the question and the reading it may have gone.
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  /** The size of a blob that is too large, as far as it can be had without reading all of a giant. */
  async #sizeOf(digest: B3Digest, atLeast: number, options: CallOptions): Promise<bigint> {
    const chunks = (await this.chunks(digest, options)) ?? []
    if (chunks.length > 0) return chunks.reduce((sum, { size }) => sum + size, 0n)
    let length = 0
    for await (const piece of this.#read(digest, options)) {
      length += piece.length
      if (length > COUNT_LIMIT) break
    }
    return BigInt(Math.max(length, atLeast))
  }

  #explain(error: unknown, digest: B3Digest, begun = false): unknown {
    if (!(error instanceof GrpcStatusError)) return error
    const lost = error.code === 'data-loss' || (begun && error.code === 'not-found')
    return lost ? new DataLossError(digest, this.#channel.name, error.message, { cause: error }) : error
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof GrpcStatusError && error.status === Status.NOT_FOUND
}
