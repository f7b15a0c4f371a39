import { type CastoreModelError, decodeAnonymousNode, type Node } from '@neve/castore-model'
import { toUint64 } from '@neve/castore-model/proto'
import type { BlobService, CallOptions, DirectoryService } from '@neve/castore-services'
import {
  type OnServerError,
  registerService,
  type ServiceRegistry,
  serverError,
} from '@neve/castore-services/grpc/server'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import { StoreError } from '../../errors.js'
import { snix } from '../../generated/store-proto.js'
import { LocalNarCalculation } from '../../nar-calculation.js'
import type { PathInfo } from '../../path-info.js'
import { decodePathInfoMessage, encodePathInfo } from '../../path-info-codec.js'
import type { NarCalculationService, PathInfoService } from '../../path-info-service.js'
import { PATH_INFO_GRPC_SERVICE, type PathInfoMethods } from '../definitions.js'
import { completePathInfo } from './complete-path-info.js'
import { storeStatusOf } from './status.js'

/** Options of {@link pathInfoServiceImplementation}. */
export interface PathInfoServiceImplementationOptions {
  /**
   * Where the contents are. With them, a path info is taken only when its root is there, and NARs can be measured.
   * Default: whoever puts is believed, and CalculateNAR is UNIMPLEMENTED unless there is `narCalculation`.
   */
  readonly contents?: { readonly blobs: BlobService; readonly directories: DirectoryService } | undefined
  /** Measures NARs. Default: the service's own, else by rendering `contents`. */
  readonly narCalculation?: NarCalculationService | undefined
  /** Whether List is there: a large store may not want to tell everything to everybody. Default: true. */
  readonly list?: boolean | undefined
  /** Told of failures that are not the client's. Default: nobody is. */
  readonly onError?: OnServerError | undefined
}

/** Registers {@link pathInfoServiceImplementation} under the names of both generations (DESIGN decision 3). */
export function addPathInfoService(
  server: ServiceRegistry,
  pathInfos: PathInfoService,
  options?: PathInfoServiceImplementationOptions,
): void {
  registerService(server, PATH_INFO_GRPC_SERVICE, pathInfoServiceImplementation(pathInfos, options))
}

/**
 * A path info service as nice-grpc serves it (spec 07 section 7). What clients put is checked before the service sees
 * it; without narinfo it is measured first.
 */
export function pathInfoServiceImplementation(
  pathInfos: PathInfoService,
  { contents, narCalculation, list = true, onError = () => {} }: PathInfoServiceImplementationOptions = {},
): ServiceImplementation<PathInfoMethods> {
  const calculation =
    narCalculation ?? pathInfos.narCalculation ?? (contents && new LocalNarCalculation(contents))
  const answering = async <T>(method: string, context: CallContext, answer: () => Promise<T>): Promise<T> => {
    try {
      return await answer()
    } catch (error) {
      throw storeStatusOf(`PathInfoService/${method}`, error, context, onError)
    }
  }
  return {
    Get: (request, context) =>
      answering('Get', context, async () => {
        const digest = request.by_output_hash
        if (digest === undefined || digest === null) {
          throw serverError(Status.UNIMPLEMENTED, 'by_what is not set: expected by_output_hash')
        }
        if (digest.length !== 20) {
          const detail = `by_output_hash has ${digest.length} bytes, expected 20`
          throw serverError(Status.INVALID_ARGUMENT, detail)
        }
        const info = await pathInfos.get(new Uint8Array(digest), context)
        if (info === undefined) throw serverError(Status.NOT_FOUND, 'there is no such path info')
        return encodePathInfo(info)
      }),

    Put: (bytes, context) =>
      answering('Put', context, async () => {
        const message = decodePathInfoMessage(bytes)
        const info = await completePathInfo(message, pathInfos, calculation, context)
        if (contents !== undefined) await expectRoot(contents, info, context)
        return encodePathInfo(await pathInfos.put(info, { signal: context.signal }))
      }),

    CalculateNAR: (bytes, context) =>
      answering('CalculateNAR', context, async () => {
        if (calculation === undefined) {
          throw serverError(Status.UNIMPLEMENTED, 'NARs are not measured here')
        }
        const { narSize, narSha256 } = await calculation.calculateNar(readNode(bytes), context)
        return { nar_size: toUint64(narSize), nar_sha256: narSha256 }
      }),

    async *List(_request, context) {
      if (!list) throw serverError(Status.PERMISSION_DENIED, 'path infos are not listed here')
      try {
        for await (const info of pathInfos.list({ signal: context.signal })) yield encodePathInfo(info)
      } catch (error) {
        if (error instanceof StoreError && error.code === 'data-loss') {
          onError('PathInfoService/List', error)
          throw serverError(Status.INTERNAL, error.message, error)
        }
        throw storeStatusOf('PathInfoService/List', error, context, onError)
      }
    },
  }
}

/** The node of a message, whatever its name. */
function readNode(bytes: Uint8Array): Node {
  try {
    const message = snix.castore.v1.Entry.decode(bytes)
    for (const member of [message.directory, message.file, message.symlink]) {
      if (member) member.name = new Uint8Array(0)
    }
    return decodeAnonymousNode(snix.castore.v1.Entry.encode(message).finish())
  } catch (error) {
    throw serverError(Status.INVALID_ARGUMENT, `invalid node: ${(error as CastoreModelError).message}`)
  }
}

/** @throws StoreError `contents-missing` */
async function expectRoot(
  { blobs, directories }: { readonly blobs: BlobService; readonly directories: DirectoryService },
  { storePath, node }: PathInfo,
  { signal }: CallOptions,
): Promise<void> {
  const stored =
    node.kind === 'symlink' ||
    (node.kind === 'file'
      ? await blobs.has(node.digest, { signal })
      : (await directories.get(node.digest, { signal })) !== undefined)
  if (stored) return
  const detail = `its root, ${node.kind} ${node.digest}, is not stored: contents come before their path info`
  throw new StoreError('contents-missing', `${storePath}: ${detail}`)
}
