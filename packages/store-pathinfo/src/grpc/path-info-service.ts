import { compareBytes, encodeNode, type Node } from '@neve/castore-model'
import { fromUint64 } from '@neve/castore-model/proto'
import type { CallOptions } from '@neve/castore-services'
import { GrpcCaller, type GrpcChannel, GrpcStatusError } from '@neve/castore-services/grpc'
import { Status } from 'nice-grpc-common'
import { StoreError } from '../errors.js'
import type { NarMeasure } from '../measure-nar.js'
import { checkDigest, ListFilter } from '../path-info/list-filter.js'
import { PageOf } from '../path-info/page-of.js'
import { decodeStored } from '../path-info/stored.js'
import type { PathInfo } from '../path-info.js'
import { decodePathInfo, encodePathInfo } from '../path-info-codec.js'
import type {
  ListPathInfosOptions,
  NarCalculationService,
  PathInfoService,
  PutPathInfoOptions,
} from '../path-info-service.js'
import { PATH_INFO_GRPC_SERVICE, type PathInfoMethods } from './definitions.js'

/**
 * The path infos of a gRPC server (spec 07 section 6.5), Tvix's, Snix' or ours. Whatever it sends is checked before
 * anybody sees it: what is not valid, or another one than was asked for, is `data-loss`.
 *
 * The protocol cannot list in pages: with `limit`, everything is looked at for the right ones, and only these are held.
 * It cannot overwrite either.
 */
export class GrpcPathInfoService implements PathInfoService {
  /** Measures NARs where the server has their contents. */
  readonly narCalculation: NarCalculationService
  readonly #channel: GrpcChannel
  readonly #caller: GrpcCaller<PathInfoMethods>

  /** @param channel stays the caller's: closing the service does not close it */
  constructor(channel: GrpcChannel) {
    this.#channel = channel
    this.#caller = new GrpcCaller(channel, PATH_INFO_GRPC_SERVICE)
    this.narCalculation = { calculateNar: (node, options) => this.#calculateNar(node, options) }
  }

  async get(digest: Uint8Array, options: CallOptions = {}): Promise<PathInfo | undefined> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    try {
      const bytes = await this.#caller.call(
        (client) => client.Get({ by_output_hash: digest }, options),
        options,
      )
      return decodeStored(this.#channel.name, digest, bytes)
    } catch (error) {
      if (error instanceof GrpcStatusError && error.status === Status.NOT_FOUND) return undefined
      throw explain(error)
    }
  }

  async has(digest: Uint8Array, options?: CallOptions): Promise<boolean> {
    return (await this.get(digest, options)) !== undefined
  }

  async put(info: PathInfo, options: PutPathInfoOptions = {}): Promise<PathInfo> {
    options.signal?.throwIfAborted()
    if (options.overwrite) {
      throw new StoreError(
        'unsupported',
        `${this.#channel.name}: a path info cannot be overwritten over gRPC`,
      )
    }
    const message = encodePathInfo(info)
    let bytes: Uint8Array
    try {
      bytes = await this.#caller.call((client) => client.Put(message, options), options)
    } catch (error) {
      throw explain(error)
    }
    const stored = decodeStored(this.#channel.name, info.storePath.digest, bytes)
    const same =
      stored.storePath.equals(info.storePath) && compareBytes(stored.narSha256, info.narSha256) === 0
    if (same) return stored
    throw new StoreError(
      'data-loss',
      `${this.#channel.name}: stored ${stored.storePath} with another NAR hash or name than ${info.storePath}`,
    )
  }

  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    const filter = new ListFilter(options)
    if (filter.limit === Number.POSITIVE_INFINITY) yield* this.#wanted(filter, { signal })
    else if (filter.limit > 0) {
      const page = new PageOf(filter.limit)
      for await (const info of this.#wanted(filter, { signal })) page.add(info)
      yield* page
    }
  }

  async *#wanted(filter: ListFilter, options: CallOptions): AsyncGenerator<PathInfo, void, undefined> {
    const answers = this.#caller.stream((client) => client.List({}, options), options)
    try {
      for await (const bytes of answers) {
        const info = this.#listed(bytes)
        if (!filter.wants(info)) continue
        yield info
        options.signal?.throwIfAborted()
      }
    } catch (error) {
      throw explain(error)
    }
  }

  #listed(bytes: Uint8Array): PathInfo {
    try {
      return decodePathInfo(bytes)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new StoreError('data-loss', `${this.#channel.name}: List: ${reason}`, undefined, { cause: error })
    }
  }

  async #calculateNar(node: Node, options: CallOptions = {}): Promise<NarMeasure> {
    try {
      return await this.#measure('', node, options)
    } catch (error) {
      // Of the older generation, some want a name, which means nothing.
      const older = this.#channel.generation(PATH_INFO_GRPC_SERVICE.name) === 'tvix'
      const refused = error instanceof GrpcStatusError && error.status === Status.INVALID_ARGUMENT
      if (older && refused) return this.#measure('nar', node, options)
      throw error instanceof GrpcStatusError && error.status === Status.NOT_FOUND
        ? new StoreError('contents-missing', error.message, undefined, { cause: error })
        : error
    }
  }

  async #measure(name: string, node: Node, options: CallOptions): Promise<NarMeasure> {
    const message = encodeNode(new TextEncoder().encode(name), node)
    const { nar_size, nar_sha256 } = await this.#caller.call(
      (client) => client.CalculateNAR(message, options),
      options,
    )
    const narSha256 = new Uint8Array(nar_sha256 ?? [])
    if (narSha256.length !== 32) {
      const detail = `CalculateNAR: got a hash of ${narSha256.length} bytes, expected 32`
      throw new StoreError('data-loss', `${this.#channel.name}: ${detail}`)
    }
    return { narSize: fromUint64(nar_size ?? 0), narSha256 }
  }
}

/** What a refusal means here. */
function explain(error: unknown): unknown {
  if (!(error instanceof GrpcStatusError)) return error
  const options = { cause: error }
  switch (error.status) {
    case Status.ALREADY_EXISTS:
      return new StoreError('already-exists', error.message, undefined, options)
    case Status.FAILED_PRECONDITION:
      return new StoreError('contents-missing', error.message, undefined, options)
    case Status.UNIMPLEMENTED:
    case Status.PERMISSION_DENIED:
      return new StoreError('unsupported', error.message, undefined, options)
    case Status.DATA_LOSS:
      return new StoreError('data-loss', error.message, undefined, options)
    default:
      return error
  }
}
