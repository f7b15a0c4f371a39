import { B3Digest } from '@neve/castore-model'
import { Status } from 'nice-grpc-common'
import type { CallOptions } from '../call-options.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE, type GetChunkOptions } from '../chunk-store.js'
import { BlobTooLargeError, DataLossError } from '../errors.js'
import { blobMessages } from './blob-messages.js'
import { GrpcCaller } from './call.js'
import type { GrpcChannel } from './channel.js'
import { expectStored } from './expect-stored.js'
import { CHUNK_STORE_GRPC_SERVICE, type ChunkStoreMethods } from './split-definitions.js'
import { concatenated } from './spooled-blob.js'
import { GrpcStatusError } from './status-error.js'
import { withData } from './with-data.js'

const NOTHING = new Uint8Array(0)

/** The chunks of a gRPC server that offers them (spec 10), Snix' or ours. What it sends is hashed before anybody sees it. */
export class GrpcChunkStore implements ChunkStore {
  readonly #name: string
  readonly #caller: GrpcCaller<ChunkStoreMethods>

  /** @param channel stays the caller's: closing the store does not close it */
  constructor(channel: GrpcChannel) {
    this.#name = channel.name
    this.#caller = new GrpcCaller(channel, CHUNK_STORE_GRPC_SERVICE)
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return true
    const request = { digest: digest.bytes }
    try {
      await this.#caller.call((client) => client.StatChunk(request, options), options)
      return true
    } catch (error) {
      if (isStatus(error, Status.NOT_FOUND)) return false
      throw explain(error, digest, this.#name)
    }
  }

  async get(digest: B3Digest, options: GetChunkOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_MAX_CHUNK_SIZE, signal } = options
    signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return NOTHING
    const content = await this.#read(digest, maxSize, { signal })
    if (content === undefined) return undefined
    const actual = B3Digest.of(content)
    if (actual.equals(digest)) return content
    throw new DataLossError(digest, this.#name, `chunk contents invalid: expected ${digest}, got ${actual}`)
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    const digest = B3Digest.of(content)
    const { digest: stored } = await this.#caller.upload(
      (client) => client.PutChunk(options),
      () => blobMessages(content, CHUNK_MESSAGE_SIZE),
      options,
    )
    expectStored(this.#name, digest, stored)
    return digest
  }

  /** The bytes of a chunk, unchecked; undefined when the server does not have it. */
  async #read(digest: B3Digest, maxSize: number, options: CallOptions): Promise<Uint8Array | undefined> {
    const request = { digest: digest.bytes }
    const pieces: Uint8Array[] = []
    let length = 0
    try {
      const stream = this.#caller.stream((client) => client.GetChunk(request, options), options)
      for await (const piece of withData(stream, `${this.#name}: chunk ${digest}`)) {
        length += piece.length
        if (length > maxSize) throw new BlobTooLargeError(digest, BigInt(length), maxSize)
        pieces.push(piece)
      }
    } catch (error) {
      if (pieces.length === 0 && isStatus(error, Status.NOT_FOUND)) return undefined
      throw explain(error, digest, this.#name)
    }
    return concatenated(pieces, length)
  }
}

/** How much data of a chunk goes into one message: the reference's cut (spec 10 section 2). */
export const CHUNK_MESSAGE_SIZE = 2 * 1024 * 1024

function isStatus(error: unknown, status: Status): boolean {
  return error instanceof GrpcStatusError && error.status === status
}

/** What a failure means that is not an answer. */
function explain(error: unknown, digest: B3Digest, backend: string): unknown {
  if (!(error instanceof GrpcStatusError)) return error
  const lost = error.code === 'data-loss' || error.code === 'not-found'
  return lost ? new DataLossError(digest, backend, error.message, { cause: error }) : error
}
