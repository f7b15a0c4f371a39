import { B3Digest } from '@neve/castore-model'
import { Status } from 'nice-grpc-common'
import type { BlobListStore } from '../blob-list-store.js'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError, DataLossError } from '../errors.js'
import { normalizedBlobList, trustedBlobList } from '../split/blob-list.js'
import { decodeGetBlobResponse, encodePutBlobRequest } from './blob-meta.js'
import { GrpcCaller } from './call.js'
import type { GrpcChannel } from './channel.js'
import { BLOB_STORE_GRPC_SERVICE, type BlobStoreMethods } from './split-definitions.js'
import { GrpcStatusError } from './status-error.js'

/** The chunk lists of a gRPC server that offers them (spec 10), Snix' or ours. Lists that cannot be right are refused. */
export class GrpcBlobListStore implements BlobListStore {
  readonly #name: string
  readonly #caller: GrpcCaller<BlobStoreMethods>

  /** @param channel stays the caller's: closing the store does not close it */
  constructor(channel: GrpcChannel) {
    this.#name = channel.name
    this.#caller = new GrpcCaller(channel, BLOB_STORE_GRPC_SERVICE)
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return true
    const request = { digest: digest.bytes }
    const answer = await this.#unlessAbsent(digest, () =>
      this.#caller.call((client) => client.StatBlob(request, options), options),
    )
    return answer !== undefined
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return []
    const request = { digest: digest.bytes }
    const answer = await this.#unlessAbsent(digest, () =>
      this.#caller.call((client) => client.GetBlob(request, options), options),
    )
    if (answer === undefined) return undefined
    return trustedBlobList(digest, this.#decode(digest, answer), this.#name)
  }

  async put(digest: B3Digest, chunks: readonly ChunkMeta[], options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    const list = normalizedBlobList(digest, chunks)
    const request = encodePutBlobRequest({ digest, chunks: list })
    try {
      await this.#caller.call((client) => client.PutBlob(request, options), options)
    } catch (error) {
      if (!(error instanceof GrpcStatusError) || error.status !== Status.FAILED_PRECONDITION) throw error
      throw new CastoreError('incomplete', error.message, { cause: error })
    }
  }

  #decode(digest: B3Digest, answer: Uint8Array): readonly ChunkMeta[] {
    try {
      return decodeGetBlobResponse(answer)
    } catch (cause) {
      if (!(cause instanceof CastoreError)) throw cause
      const detail = `bad answer about blob ${digest}: ${cause.message}`
      throw new DataLossError(digest, this.#name, detail, { cause })
    }
  }

  async #unlessAbsent<T>(digest: B3Digest, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof GrpcStatusError)) throw error
      if (error.status === Status.NOT_FOUND) return undefined
      if (error.code !== 'data-loss') throw error
      throw new DataLossError(digest, this.#name, error.message, { cause: error })
    }
  }
}
