import { B3Digest } from '@neve/castore-model'
import { Batcher } from '../concurrency/batcher.js'
import { CastoreError } from '../errors.js'
import {
  BLOB_BATCH_GRPC_SERVICE,
  type BlobBatchMethods,
  MAX_BATCH_BLOBS,
  MAX_BATCH_BYTES,
  MAX_BATCHED_BLOB,
  Outcome,
} from './batch-definitions.js'
import { GrpcCaller } from './call.js'
import type { GrpcChannel } from './channel.js'
import { expectStored } from './expect-stored.js'
import { expectDigest } from './spooled-blob.js'
import { GrpcStatusError } from './status-error.js'

/** Calls about one blob, which every server knows. */
export interface SingleBlobCalls {
  has(digest: B3Digest, signal: AbortSignal | undefined): Promise<boolean>
  get(digest: B3Digest, maxSize: number, signal: AbortSignal | undefined): Promise<Uint8Array | undefined>
  put(digest: B3Digest, content: Uint8Array, signal: AbortSignal | undefined): Promise<void>
}

interface Wanted {
  readonly digest: B3Digest
  readonly maxSize: number
}

interface Offered {
  readonly digest: B3Digest
  readonly content: Uint8Array
}

/**
 * Has, get and put of small blobs, many in a call where the server offers that and many are asked for at once; else one
 * by one. Over a socket a call costs more than a small blob.
 */
export class BlobBatches {
  readonly #channel: GrpcChannel
  readonly #caller: GrpcCaller<BlobBatchMethods>
  readonly #single: SingleBlobCalls
  readonly #has: Batcher<B3Digest, boolean>
  readonly #get: Batcher<Wanted, Uint8Array | undefined>
  readonly #put: Batcher<Offered, void>
  #offered = true

  constructor(channel: GrpcChannel, single: SingleBlobCalls) {
    this.#channel = channel
    this.#caller = new GrpcCaller(channel, BLOB_BATCH_GRPC_SERVICE)
    this.#single = single
    const limits = { maxItems: MAX_BATCH_BLOBS, maxBytes: MAX_BATCH_BYTES }
    this.#has = new Batcher({
      ...limits,
      single: (digest, signal) => single.has(digest, signal),
      batch: (digests, signal) => this.#hasAll(digests, signal),
    })
    this.#get = new Batcher({
      ...limits,
      single: ({ digest, maxSize }, signal) => single.get(digest, maxSize, signal),
      batch: (wanted, signal) => this.#getAll(wanted, signal),
    })
    this.#put = new Batcher({
      ...limits,
      single: ({ digest, content }, signal) => single.put(digest, content, signal),
      batch: (blobs, signal) => this.#putAll(blobs, signal),
    })
  }

  /** Whether a blob is stored. */
  has(digest: B3Digest, signal: AbortSignal | undefined): Promise<boolean> {
    if (!this.#offered) return this.#single.has(digest, signal)
    return this.#has.add(digest, 0, signal)
  }

  /** A blob, checked; undefined when it is not stored. Throws as the single call does. */
  get(digest: B3Digest, maxSize: number, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    if (!this.#offered) return this.#single.get(digest, maxSize, signal)
    return this.#get.add({ digest, maxSize }, 0, signal)
  }

  /** Stores a blob whose digest is known. */
  put(digest: B3Digest, content: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#offered || content.length > MAX_BATCHED_BLOB) return this.#single.put(digest, content, signal)
    return this.#put.add({ digest, content }, content.length, signal)
  }

  #hasAll(
    digests: readonly B3Digest[],
    signal: AbortSignal,
  ): Promise<readonly (boolean | Promise<boolean>)[]> {
    return this.#together(
      digests,
      (digest) => this.#single.has(digest, signal),
      async () => {
        const request = { digests: digests.map(({ bytes }) => bytes) }
        const answer = await this.#caller.call((client) => client.Has(request, { signal }), { signal })
        const stored = answer.stored ?? new Uint8Array(0)
        if (stored.length !== digests.length) throw this.#miscounted(stored.length, digests.length)
        return digests.map((_, index) => stored[index] === 1)
      },
    )
  }

  #getAll(
    wanted: readonly Wanted[],
    signal: AbortSignal,
  ): Promise<readonly (Uint8Array | undefined | Promise<Uint8Array | undefined>)[]> {
    const single = ({ digest, maxSize }: Wanted) => this.#single.get(digest, maxSize, signal)
    return this.#together(wanted, single, async () => {
      const request = { digests: wanted.map(({ digest }) => digest.bytes) }
      const { answers } = await this.#caller.call((client) => client.Get(request, { signal }), { signal })
      if (answers?.length !== wanted.length) throw this.#miscounted(answers?.length ?? 0, wanted.length)
      // Async: what is wrong with one is not the others' trouble.
      return wanted.map(async (blob, index) => {
        const { outcome, content } = answers[index]!
        if (outcome === Outcome.NOT_FOUND) return undefined
        // What is too large is told by the single call, with its size.
        if (outcome !== Outcome.FOUND || !content || content.length > blob.maxSize) return await single(blob)
        expectDigest(B3Digest.of(content), blob.digest, this.#channel.name)
        // A view would keep the whole answer in memory.
        return new Uint8Array(content)
      })
    })
  }

  #putAll(blobs: readonly Offered[], signal: AbortSignal): Promise<readonly (void | Promise<void>)[]> {
    const single = ({ digest, content }: Offered) => this.#single.put(digest, content, signal)
    return this.#together(blobs, single, async () => {
      const request = { contents: blobs.map(({ content }) => content) }
      const { digests } = await this.#caller.call((client) => client.Put(request, { signal }), { signal })
      if (digests?.length !== blobs.length) throw this.#miscounted(digests?.length ?? 0, blobs.length)
      for (const [index, { digest }] of blobs.entries()) {
        expectStored(this.#channel.name, digest, digests[index])
      }
      return blobs.map(() => undefined)
    })
  }

  /** Makes the one call for all, or, with a server that has none such or finds it too much, one for each. */
  async #together<Item, Result>(
    items: readonly Item[],
    single: (item: Item) => Promise<Result>,
    all: () => Promise<readonly (Result | Promise<Result>)[]>,
  ): Promise<readonly (Result | Promise<Result>)[]> {
    if (this.#offered) {
      try {
        return await all()
      } catch (error) {
        if (!(error instanceof GrpcStatusError)) throw error
        if (error.code === 'unsupported') this.#offered = false
        else if (error.code !== 'too-large') throw error
      }
    }
    return items.map(single)
  }

  #miscounted(actual: number, expected: number): CastoreError {
    return new CastoreError('storage', `${this.#channel.name}: ${actual} answers about ${expected} blobs`)
  }
}
