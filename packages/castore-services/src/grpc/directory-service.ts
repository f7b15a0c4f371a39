import { B3Digest, CastoreModelError, Directory } from '@neve/castore-model'
import { Status } from 'nice-grpc-common'
import type { CallOptions } from '../call-options.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError } from '../errors.js'
import { GrpcCaller } from './call.js'
import { DIRECTORY_GRPC_SERVICE, type DirectoryMethods } from './castore-definitions.js'
import type { GrpcChannel } from './channel.js'
import { RootToLeavesCheck } from './closure-check.js'
import { GrpcDirectoryPutter } from './directory-putter.js'
import { expectStored } from './expect-stored.js'
import { explainUpload } from './size-refusal.js'
import { GrpcStatusError } from './status-error.js'

/** How many directories in a row that are known already to bear with; and how often all that are known. */
const MAX_REPEATED = 10_000
const MAX_REPEATED_EACH = 1000

/**
 * The directories of a gRPC server (spec 03 section 9.3), Tvix's, Snix' or ours. Nothing that it says is believed: the
 * bytes are hashed before they are decoded, closures are checked as they come. A server takes whole closures only: a
 * lone `put` of a directory with children is refused.
 */
export class GrpcDirectoryService implements DirectoryService {
  readonly #channel: GrpcChannel
  readonly #caller: GrpcCaller<DirectoryMethods>

  /** @param channel stays the caller's: closing the service does not close it */
  constructor(channel: GrpcChannel) {
    this.#channel = channel
    this.#caller = new GrpcCaller(channel, DIRECTORY_GRPC_SERVICE)
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    try {
      for await (const bytes of this.#get(digest, false, options)) {
        return this.#decode(bytes, this.#verified(bytes, digest))
      }
    } catch (error) {
      if (error instanceof GrpcStatusError && error.status === Status.NOT_FOUND) return undefined
      throw this.#explain(error, digest)
    }
    return undefined
  }

  async put(directory: Directory, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    const digest = directory.digest()
    try {
      const answer = await this.#caller.upload(
        (client) => client.Put(options),
        () => [directory.encode()],
        options,
      )
      expectStored(this.#channel.name, digest, answer.root_digest)
    } catch (error) {
      throw explainUpload(error)
    }
    return digest
  }

  async *getRecursive(root: B3Digest, options: CallOptions = {}): AsyncGenerator<Directory, void, undefined> {
    const check = new RootToLeavesCheck(root)
    let begun = false
    let repeated = 0
    try {
      for await (const bytes of this.#get(root, true, options)) {
        const digest = B3Digest.of(bytes)
        const expected = check.expects(digest)
        // Servers may send a directory as often as it is referenced.
        if (expected === 'repeated') {
          if (++repeated > MAX_REPEATED + MAX_REPEATED_EACH * check.size) {
            throw this.#loss(root, `received nothing but known directories, ${repeated} in a row`)
          }
          continue
        }
        repeated = 0
        if (expected === 'no') throw this.#loss(root, `received unexpected directory ${digest}`)
        const directory = this.#decode(bytes, digest)
        check.add(directory)
        begun = true
        yield directory
      }
    } catch (error) {
      if (!begun && error instanceof GrpcStatusError && error.status === Status.NOT_FOUND) return
      throw this.#explain(error, root)
    }
    const missing = check.missing()
    if (!begun || missing === undefined) return
    const { count, digest } = missing
    throw this.#loss(
      digest,
      `still expected ${count} directories, but got premature end of stream: one is ${digest}`,
    )
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GrpcDirectoryPutter(this.#caller, options)
  }

  #get(digest: B3Digest, recursive: boolean, options: CallOptions): AsyncIterable<Uint8Array> {
    const request = { digest: digest.bytes, recursive }
    return this.#caller.stream((client) => client.Get(request, options), options)
  }

  /** The digest of bytes, which is the one that was asked for. */
  #verified(bytes: Uint8Array, expected: B3Digest): B3Digest {
    const actual = B3Digest.of(bytes)
    if (actual.equals(expected)) return expected
    throw this.#loss(expected, `requested directory with digest ${expected}, but got ${actual}`)
  }

  #decode(bytes: Uint8Array, digest: B3Digest): Directory {
    try {
      return Directory.decode(bytes)
    } catch (error) {
      if (!(error instanceof CastoreModelError)) throw error
      throw this.#loss(digest, `corrupted directory ${digest}: ${error.message}`, error)
    }
  }

  #loss(digest: B3Digest, detail: string, cause?: unknown): DataLossError {
    return new DataLossError(digest, this.#channel.name, detail, { cause })
  }

  #explain(error: unknown, digest: B3Digest): unknown {
    if (!(error instanceof CastoreError)) return error
    const lost = error.code === 'data-loss' || error.code === 'size' || error.code === 'not-found'
    if (!lost || error instanceof DataLossError) return error
    return this.#loss(digest, error.message, error)
  }
}
