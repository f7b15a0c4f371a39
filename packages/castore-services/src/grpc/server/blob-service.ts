import { setImmediate } from 'node:timers/promises'
import { type B3Digest, encodeStatBlobResponse } from '@neve/castore-model'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import { blobStream } from '../../blob/stream.js'
import { type BlobService, DEFAULT_GET_MAX_SIZE } from '../../blob-service.js'
import { BlobTooLargeError } from '../../errors.js'
import type { BlobMethods } from '../castore-definitions.js'
import { MAX_MESSAGE_SIZE_HEADER } from '../connection.js'
import { concatenated } from '../spooled-blob.js'
import { requestedDigest } from './digest.js'
import { messagesOf } from './messages.js'
import { type OnServerError, serverError, statusOf } from './status.js'

/** How the service implementations report. */
export interface ServiceImplementationOptions {
  /** Told of failures that are not the client's. Default: nobody is. */
  readonly onError?: OnServerError | undefined
}

/** Options of {@link blobServiceImplementation}. */
export interface BlobServiceImplementationOptions extends ServiceImplementationOptions {
  /**
   * The most bytes of a chunk list to send to clients that do not say how long a message they accept; ours do. Of a
   * blob with a longer one no chunks are told, and clients read it whole. Default: 4 MiB less 64 KiB, which fits what
   * every client accepts.
   */
  readonly maxChunkListSize?: number | undefined
}

const DEFAULT_MAX_CHUNK_LIST_SIZE = 4 * 1024 * 1024 - 64 * 1024
/** An upload that ends before this many bytes is stored in one go. */
const SMALL_UPLOAD = DEFAULT_GET_MAX_SIZE

type PutRequests = AsyncIterable<Uint8Array>

/**
 * A BlobService behind gRPC (spec 02 section 10): register it with the definitions of `BLOB_GRPC_SERVICE`, under the
 * name of each generation, with any server of nice-grpc.
 */
export function blobServiceImplementation(
  blobs: BlobService,
  options: BlobServiceImplementationOptions = {},
): ServiceImplementation<BlobMethods> {
  const { onError = () => {}, maxChunkListSize = DEFAULT_MAX_CHUNK_LIST_SIZE } = options

  async function stat(digest: B3Digest, sendChunks: boolean, context: CallContext): Promise<Uint8Array> {
    const { signal } = context
    // Who asks only whether it is there need not wait for a list that may be long.
    if (!sendChunks) {
      if (await blobs.has(digest, { signal })) return encodeStatBlobResponse([])
      throw notFound(digest)
    }
    const chunks = await blobs.chunks(digest, { signal })
    if (chunks === undefined) throw notFound(digest)
    const list = encodeStatBlobResponse(chunks)
    const limit = acceptedMessageSize(context) ?? maxChunkListSize
    return list.length <= limit ? list : encodeStatBlobResponse([])
  }

  async function* read(
    digest: B3Digest,
    { signal }: CallContext,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      const content = await blobs.get(digest, { signal })
      if (content === undefined) throw notFound(digest)
      yield* messagesOf([content])
      return
    } catch (error) {
      if (!(error instanceof BlobTooLargeError)) throw error
    }
    await using reader = await blobs.open(digest, { signal })
    if (reader === undefined) throw notFound(digest)
    yield* messagesOf(blobStream(reader, { signal }))
  }

  async function put(requests: PutRequests, context: CallContext): Promise<B3Digest> {
    const { signal } = context
    const pieces = requests[Symbol.asyncIterator]()
    const begun: Uint8Array[] = []
    let length = 0
    let next = await pieces.next()
    for (; next.done !== true && length <= SMALL_UPLOAD; next = await pieces.next()) {
      if (next.value.length === 0) continue
      begun.push(next.value)
      length += next.value.length
    }
    if (next.done === true) {
      await expectWhole(context)
      return await blobs.put(concatenated(begun, length), { signal })
    }
    await using writer = blobs.openWrite({ signal })
    for (const piece of begun) await writer.write(piece)
    begun.length = 0
    for (; next.done !== true; next = await pieces.next()) await writer.write(next.value)
    await expectWhole(context)
    return await writer.close()
  }

  return {
    async Stat(request, context) {
      try {
        return await stat(requestedDigest(request.digest), request.send_chunks ?? false, context)
      } catch (error) {
        throw statusOf('BlobService/Stat', error, context, onError)
      }
    },
    async *Read(request, context) {
      try {
        yield* read(requestedDigest(request.digest), context)
      } catch (error) {
        throw statusOf('BlobService/Read', error, context, onError)
      }
    },
    async Put(requests, context) {
      try {
        return { digest: (await put(requests, context)).bytes }
      } catch (error) {
        throw statusOf('BlobService/Put', error, context, onError)
      }
    },
  }
}

/** How long a message a client said that it accepts, in bytes. */
function acceptedMessageSize({ metadata }: CallContext): number | undefined {
  const text = metadata.get(MAX_MESSAGE_SIZE_HEADER)
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

function notFound(digest: B3Digest): Error {
  return serverError(Status.NOT_FOUND, `blob ${digest} not found`)
}

/**
 * Makes sure that a stream of requests is over because its end was said. One that was cancelled, or lost its connection,
 * looks the same to who reads it; and clients made with Node.js end a request in the moment before they reset it.
 */
export async function expectWhole({ signal }: CallContext): Promise<void> {
  // Two turns: one to read what came together with the end, one for what came right after it.
  await setImmediate()
  await setImmediate()
  if (signal.aborted) throw serverError(Status.CANCELLED, 'the call was cancelled')
}
