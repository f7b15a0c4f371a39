import type { B3Digest } from '@neve/castore-model'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import type { BlobService } from '../../blob-service.js'
import { sharedSignal } from '../../concurrency/shared-controller.js'
import { BlobTooLargeError, DataLossError } from '../../errors.js'
import {
  type BlobBatchMethods,
  MAX_BATCH_BLOBS,
  MAX_BATCH_BYTES,
  MAX_BATCHED_BLOB,
  Outcome,
} from '../batch-definitions.js'
import type { ServiceImplementationOptions } from './blob-service.js'
import { requestedDigest } from './digest.js'
import { putVerified } from './framed-blobs.js'
import { serverError, statusOf } from './status.js'

/** So many blobs of one call are read at once: together they are small. */
const READ_AT_ONCE = 32

interface Answer {
  readonly outcome: number
  readonly content?: Uint8Array
}

const LEFT_OUT: Answer = { outcome: Outcome.LEFT_OUT }

/** `BlobBatchService` over a blob service: register it with the definition of `BLOB_BATCH_GRPC_SERVICE`. */
export function blobBatchImplementation(
  blobs: BlobService,
  { onError = () => {} }: ServiceImplementationOptions = {},
): ServiceImplementation<BlobBatchMethods> {
  async function answer(digest: B3Digest, signal: AbortSignal): Promise<Answer> {
    try {
      const content = await blobs.get(digest, { maxSize: MAX_BATCHED_BLOB, signal })
      return content === undefined ? { outcome: Outcome.NOT_FOUND } : { outcome: Outcome.FOUND, content }
    } catch (error) {
      // Who then asks for it alone is told what is the matter.
      if (error instanceof BlobTooLargeError || error instanceof DataLossError) return LEFT_OUT
      throw error
    }
  }

  async function answers(digests: readonly B3Digest[], signal: AbortSignal): Promise<Answer[]> {
    const given: Answer[] = []
    let bytes = 0
    for (let at = 0; at < digests.length; at += READ_AT_ONCE) {
      const some = digests.slice(at, at + READ_AT_ONCE)
      const found =
        bytes > MAX_BATCH_BYTES
          ? some.map(() => LEFT_OUT)
          : await Promise.all(some.map((digest) => answer(digest, signal)))
      for (const one of found) {
        bytes += one.content?.length ?? 0
        given.push(bytes > MAX_BATCH_BYTES ? LEFT_OUT : one)
      }
    }
    return given
  }

  return {
    async Has({ digests }, context) {
      try {
        const wanted = requestedDigests(digests)
        const signal = sharedSignal(context.signal)
        const stored = await Promise.all(wanted.map((digest) => blobs.has(digest, { signal })))
        return { stored: Uint8Array.from(stored, Number) }
      } catch (error) {
        throw failure('Has', error, context)
      }
    },
    async Get({ digests }, context) {
      try {
        return { answers: await answers(requestedDigests(digests), sharedSignal(context.signal)) }
      } catch (error) {
        throw failure('Get', error, context)
      }
    },
    async Put({ contents }, context) {
      try {
        const signal = sharedSignal(context.signal)
        const put = await Promise.all(expectFew(contents).map((content) => blobs.put(content, { signal })))
        return { digests: put.map(({ bytes }) => bytes) }
      } catch (error) {
        throw failure('Put', error, context)
      }
    },
    async PutFramed(sent, context) {
      try {
        await putVerified(blobs, sent, { signal: sharedSignal(context.signal) })
        return {}
      } catch (error) {
        throw failure('PutFramed', error, context)
      }
    },
  }

  function failure(method: string, error: unknown, context: CallContext): unknown {
    return statusOf(`BlobBatchService/${method}`, error, context, onError)
  }
}

function requestedDigests(digests: readonly Uint8Array[] | null | undefined): B3Digest[] {
  return expectFew(digests).map(requestedDigest)
}

function expectFew<T>(items: readonly T[] | null | undefined): readonly T[] {
  const count = items?.length ?? 0
  if (count > MAX_BATCH_BLOBS) {
    throw serverError(
      Status.INVALID_ARGUMENT,
      `${count} blobs in one call, expected at most ${MAX_BATCH_BLOBS}`,
    )
  }
  return items ?? []
}
