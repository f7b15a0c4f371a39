import type { B3Digest } from '@neve/castore-model'
import type { BlobService, BlobWriter } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import { BlobWriterBase } from './writer-base.js'

/** Writes a blob to both sides of a cache; the far one decides. */
export class WriteThroughWriter extends BlobWriterBase {
  readonly #far: BlobWriter
  readonly #report: (error: unknown) => void
  #near: BlobWriter | undefined

  constructor(near: BlobService, far: BlobService, report: (error: unknown) => void, options?: CallOptions) {
    super(options)
    this.#far = far.openWrite()
    this.#near = near.openWrite()
    this.#report = report
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    // Both are waited for, whatever comes of one: the bytes are the caller's again afterwards.
    const near = this.#withNear((writer) => writer.write(bytes))
    try {
      await this.#far.write(bytes, { signal })
    } finally {
      await near
    }
  }

  protected async drain(signal: AbortSignal): Promise<void> {
    await this.#far.flush({ signal })
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = await this.#far.close({ signal })
    await this.#withNear(async (writer) => {
      expectStored(await writer.close(), digest, 'the near side')
    })
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    await Promise.all([this.#far.abort(reason), this.#near?.abort(reason)])
  }

  async #withNear(use: (writer: BlobWriter) => Promise<void>): Promise<void> {
    const writer = this.#near
    if (writer === undefined) return
    try {
      await use(writer)
    } catch (error) {
      this.#near = undefined
      this.#report(error)
      await writer.abort(error)
    }
  }
}

/** Writes a blob to the near side of a cache, and says so when it is there. */
export class WriteBackWriter extends BlobWriterBase {
  readonly #near: BlobWriter
  readonly #stored: (digest: B3Digest) => void

  constructor(near: BlobService, stored: (digest: B3Digest) => void, options?: CallOptions) {
    super(options)
    this.#near = near.openWrite()
    this.#stored = stored
  }

  protected accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#near.write(bytes, { signal })
  }

  protected drain(signal: AbortSignal): Promise<void> {
    return this.#near.flush({ signal })
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = await this.#near.close({ signal })
    this.#stored(digest)
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    await this.#near.abort(reason)
  }
}
