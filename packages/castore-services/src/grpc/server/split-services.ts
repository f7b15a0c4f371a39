import type { B3Digest } from '@neve/castore-model'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import type { BlobListStore } from '../../blob-list-store.js'
import type { BlobService } from '../../blob-service.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE } from '../../chunk-store.js'
import { BlobTooLargeError, MissingChunkError } from '../../errors.js'
import { checkedBlobLists } from '../../split/checked-blob-lists.js'
import { blobListStoreOf, chunkStoreOf } from '../../split/halves.js'
import { decodePutBlobRequest, encodeGetBlobResponse } from '../blob-meta.js'
import { CHUNK_MESSAGE_SIZE } from '../chunk-store.js'
import {
  BLOB_STORE_GRPC_SERVICE,
  type BlobStoreMethods,
  CHUNK_STORE_GRPC_SERVICE,
  type ChunkStoreMethods,
} from '../split-definitions.js'
import { concatenated } from '../spooled-blob.js'
import { expectWhole, type ServiceImplementationOptions } from './blob-service.js'
import { requestedDigest } from './digest.js'
import type { ServiceRegistry } from './grpc-server.js'
import { registerService } from './register-service.js'
import { serverError, statusOf } from './status.js'

/** The two halves of a blob service (spec 10). */
export interface SplitServices {
  readonly chunks: ChunkStore
  readonly lists: BlobListStore
}

/** Options of the implementations of the split services. */
export interface SplitServicesOptions extends ServiceImplementationOptions {
  /** Whether a list is taken only when its chunks make up the blob. Default: when they are all stored. */
  readonly verifyPut?: boolean | undefined
  /** The largest chunk to take or give, in bytes: it is held in memory whole. Default: 64 MiB. */
  readonly maxChunkSize?: number | undefined
}

/**
 * Registers `ChunkStoreService` and `BlobStoreService` (spec 10 section 1).
 *
 * @param services a blob service, or the two halves of one
 */
export function addSplitServices(
  server: ServiceRegistry,
  services: BlobService | SplitServices,
  options: SplitServicesOptions = {},
): void {
  const { chunks, lists } = isBlobService(services)
    ? { chunks: chunkStoreOf(services), lists: blobListStoreOf(services) }
    : services
  registerService(server, CHUNK_STORE_GRPC_SERVICE, chunkStoreImplementation(chunks, options))
  registerService(server, BLOB_STORE_GRPC_SERVICE, blobStoreImplementation({ chunks, lists }, options))
}

function isBlobService(services: BlobService | SplitServices): services is BlobService {
  return typeof services.chunks === 'function'
}

/** `ChunkStoreService` over a store of chunks. */
export function chunkStoreImplementation(
  chunks: ChunkStore,
  { maxChunkSize = DEFAULT_MAX_CHUNK_SIZE, onError = () => {} }: SplitServicesOptions = {},
): ServiceImplementation<ChunkStoreMethods> {
  async function get(digest: B3Digest, { signal }: CallContext): Promise<Uint8Array> {
    const content = await chunks.get(digest, { maxSize: maxChunkSize, signal })
    if (content === undefined) throw notFound('chunk', digest)
    return content
  }

  async function put(messages: AsyncIterable<Uint8Array>, context: CallContext): Promise<B3Digest> {
    const pieces: Uint8Array[] = []
    let length = 0
    for await (const piece of messages) {
      length += piece.length
      if (length > maxChunkSize) {
        throw serverError(Status.OUT_OF_RANGE, `chunk is larger than max ${maxChunkSize} bytes`)
      }
      if (piece.length > 0) pieces.push(piece)
    }
    await expectWhole(context)
    return await chunks.put(concatenated(pieces, length), { signal: context.signal })
  }

  return {
    async StatChunk(request, context) {
      try {
        const digest = requestedDigest(request.digest)
        if (await chunks.has(digest, { signal: context.signal })) return {}
        throw notFound('chunk', digest)
      } catch (error) {
        throw statusOf('ChunkStoreService/StatChunk', error, context, onError)
      }
    },
    async *GetChunk(request, context) {
      try {
        const content = await get(requestedDigest(request.digest), context)
        for (let at = 0; at < content.length; at += CHUNK_MESSAGE_SIZE) {
          yield content.subarray(at, at + CHUNK_MESSAGE_SIZE)
        }
      } catch (error) {
        throw statusOf('ChunkStoreService/GetChunk', ofRange(error), context, onError)
      }
    },
    async PutChunk(messages, context) {
      try {
        return { digest: (await put(messages, context)).bytes }
      } catch (error) {
        throw statusOf('ChunkStoreService/PutChunk', error, context, onError)
      }
    },
  }
}

/** `BlobStoreService` over both halves: a list is taken only when its chunks are stored. */
export function blobStoreImplementation(
  services: SplitServices,
  { verifyPut, onError = () => {} }: SplitServicesOptions = {},
): ServiceImplementation<BlobStoreMethods> {
  const lists = checkedBlobLists({ ...services, verifyPut })
  return {
    async StatBlob(request, context) {
      try {
        const digest = requestedDigest(request.digest)
        if (await lists.has(digest, { signal: context.signal })) return {}
        throw notFound('blob', digest)
      } catch (error) {
        throw statusOf('BlobStoreService/StatBlob', error, context, onError)
      }
    },
    async GetBlob(request, context) {
      try {
        const digest = requestedDigest(request.digest)
        const list = await lists.get(digest, { signal: context.signal })
        if (list === undefined) throw notFound('blob', digest)
        return encodeGetBlobResponse(list)
      } catch (error) {
        throw statusOf('BlobStoreService/GetBlob', error, context, onError)
      }
    },
    async PutBlob(request, context) {
      try {
        const { digest, chunks } = decodePutBlobRequest(request)
        await lists.put(digest, chunks, { signal: context.signal })
        return {}
      } catch (error) {
        throw statusOf('BlobStoreService/PutBlob', precondition(error), context, onError)
      }
    },
  }
}

function notFound(what: 'blob' | 'chunk', digest: B3Digest): Error {
  return serverError(Status.NOT_FOUND, `${what} ${digest} not found`)
}

/** That chunks have to come first is said in a status of its own (spec 10 section 2). */
function precondition(error: unknown): unknown {
  if (!(error instanceof MissingChunkError)) return error
  return serverError(Status.FAILED_PRECONDITION, error.message)
}

/** A chunk that is too large is not a server that is. */
function ofRange(error: unknown): unknown {
  return error instanceof BlobTooLargeError ? serverError(Status.OUT_OF_RANGE, error.message) : error
}
