import { B3Digest, blake3 } from '@neve/castore-model'
import { BlobWriterBase } from '../blob/writer-base.js'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { BLOB_MESSAGE_SIZE, BlobMessage } from './blob-messages.js'
import type { GrpcCaller } from './call.js'
import type { BlobMethods } from './castore-definitions.js'
import type { GrpcUpload } from './client.js'
import { expectStored } from './expect-stored.js'

/**
 * Uploads one blob. The call is made when there is a message's worth to send: a small blob is one call, made by
 * `close`, and made again where that helps. A writer that is given up cancels its call, so that nothing is stored.
 */
export class GrpcBlobWriter extends BlobWriterBase {
  readonly #caller: GrpcCaller<BlobMethods>
  readonly #hasher = blake3.hasher()
  #message: BlobMessage | undefined
  /** What was sent, for use again: the last one may still be on its way. */
  readonly #sent: BlobMessage[] = []
  #upload: GrpcUpload<Uint8Array, PutAnswer> | undefined

  constructor(caller: GrpcCaller<BlobMethods>, options?: CallOptions) {
    super(options)
    this.#caller = caller
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#hasher.update(bytes)
    for (let at = 0; at < bytes.length; ) {
      this.#message ??= this.#sent.length > 1 ? this.#sent.shift()! : new BlobMessage(BLOB_MESSAGE_SIZE)
      at += this.#message.append(bytes, at)
      if (this.#message.room === 0) await this.#send(signal)
    }
  }

  protected async drain(signal: AbortSignal): Promise<void> {
    await this.#send(signal)
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = B3Digest.adopt(this.#hasher.digest())
    const answer = await (this.#upload === undefined
      ? this.#putWhole(signal)
      : this.#finish(this.#upload, signal))
    expectStored(this.#caller.channel.name, digest, answer.digest)
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    this.#message = undefined
    this.#upload?.cancel(reason)
  }

  async #putWhole(signal: AbortSignal): Promise<PutAnswer> {
    const messages = this.#message === undefined ? [] : [this.#message.encoded()]
    return await this.#caller.upload(
      (client) => client.Put({ signal }),
      () => messages,
      { signal },
    )
  }

  async #finish(upload: GrpcUpload<Uint8Array, PutAnswer>, signal: AbortSignal): Promise<PutAnswer> {
    await this.#send(signal)
    return await abortable(upload.finish(), signal)
  }

  async #send(signal: AbortSignal): Promise<void> {
    const message = this.#message
    if (message === undefined || message.length === 0) return
    this.#upload ??= await this.#start(signal)
    this.#message = undefined
    await abortable(this.#upload.send(message.encoded()), signal)
    message.clear()
    this.#sent.push(message)
  }

  async #start(signal: AbortSignal): Promise<GrpcUpload<Uint8Array, PutAnswer>> {
    // A call that is under way cannot be made again under another name.
    const client = await this.#caller.settled(
      (candidate) => candidate.Stat({ digest: B3Digest.EMPTY.bytes }, { signal }),
      { signal },
    )
    return await client.Put()
  }
}

interface PutAnswer {
  readonly digest?: Uint8Array | null
}
