import { chunkSizes } from '@neve/fastcdc'
import type { FramedBlob, FramedBlobs } from '../blob/framed-blobs.js'
import type { CallOptions } from '../call-options.js'
import { BLOB_BATCH_GRPC_SERVICE, type BlobBatchMethods } from './batch-definitions.js'
import { GrpcCaller } from './call.js'
import type { GrpcChannel } from './channel.js'
import { GrpcStatusError } from './status-error.js'

/** Puts of blobs that were compressed before, into a server of ours. */
export class FramedUploads implements FramedBlobs {
  readonly chunkSizes = chunkSizes()
  readonly #caller: GrpcCaller<BlobBatchMethods>
  #taken: boolean | undefined

  constructor(channel: GrpcChannel) {
    this.#caller = new GrpcCaller(channel, BLOB_BATCH_GRPC_SERVICE)
  }

  async takesFrames(options?: CallOptions): Promise<boolean> {
    if (this.#taken !== undefined) return this.#taken
    try {
      await this.putFramed([], options)
      this.#taken = true
    } catch (error) {
      if (!(error instanceof GrpcStatusError) || error.code !== 'unsupported') throw error
      this.#taken = false
    }
    return this.#taken
  }

  async putFramed(blobs: readonly FramedBlob[], { signal }: CallOptions = {}): Promise<void> {
    // The empty blob is always there.
    const some = blobs.filter(({ chunks }) => chunks.length > 0)
    await this.#caller.call((client) => client.PutFramed(some, { signal }), { signal })
  }
}
