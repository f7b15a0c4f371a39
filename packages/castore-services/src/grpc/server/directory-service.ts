import { Directory, DirectoryError } from '@neve/castore-model'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import { DirectoryGraph } from '../../directory/graph.js'
import type { ValidatedGraph } from '../../directory/validated-graph.js'
import type { DirectoryService } from '../../directory-service.js'
import { CastoreError } from '../../errors.js'
import type { DirectoryMethods } from '../castore-definitions.js'
import { expectWhole, type ServiceImplementationOptions } from './blob-service.js'
import { requestedDigest } from './digest.js'
import { serverError, statusOf } from './status.js'

/** Options of {@link directoryServiceImplementation}. An upload is held in memory until it was checked. */
export interface DirectoryServiceImplementationOptions extends ServiceImplementationOptions {
  /** The most directories of one upload. Default: 1,000,000. */
  readonly maxUploadDirectories?: number | undefined
  /** The most bytes of the directories of one upload. Default: 1 GiB. */
  readonly maxUploadSize?: number | undefined
}

const DEFAULT_MAX_UPLOAD_DIRECTORIES = 1_000_000
const DEFAULT_MAX_UPLOAD_SIZE = 1024 * 1024 * 1024

/**
 * A DirectoryService behind gRPC (spec 03 section 9.4): register it with the definitions of `DIRECTORY_GRPC_SERVICE`,
 * under the name of each generation, with any server of nice-grpc.
 */
export function directoryServiceImplementation(
  directories: DirectoryService,
  options: DirectoryServiceImplementationOptions = {},
): ServiceImplementation<DirectoryMethods> {
  const {
    onError = () => {},
    maxUploadDirectories = DEFAULT_MAX_UPLOAD_DIRECTORIES,
    maxUploadSize = DEFAULT_MAX_UPLOAD_SIZE,
  } = options

  async function* get(
    digest: Uint8Array | null | undefined,
    recursive: boolean,
    { signal }: CallContext,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (digest === undefined || digest === null) {
      throw serverError(Status.INVALID_ARGUMENT, 'invalid by_what')
    }
    const wanted = requestedDigest(digest)
    if (recursive) {
      for await (const directory of directories.getRecursive(wanted, { signal })) yield directory.encode()
      return
    }
    const directory = await directories.get(wanted, { signal })
    if (directory === undefined) throw serverError(Status.NOT_FOUND, `directory ${wanted} not found`)
    yield directory.encode()
  }

  async function receive(requests: AsyncIterable<Uint8Array>): Promise<ValidatedGraph> {
    const graph = DirectoryGraph.leavesToRoot()
    let count = 0
    let size = 0
    for await (const bytes of requests) {
      count += 1
      size += bytes.length
      if (count > maxUploadDirectories) {
        throw tooLarge(`more than ${maxUploadDirectories} directories in one upload`)
      }
      if (size > maxUploadSize) {
        throw tooLarge(`directories of more than ${maxUploadSize} bytes in one upload`)
      }
      graph.add(decode(bytes))
    }
    return graph.validate()
  }

  async function put(requests: AsyncIterable<Uint8Array>, context: CallContext): Promise<Uint8Array> {
    const { signal } = context
    const graph = await receive(requests)
    await expectWhole(context)
    if (graph.root === undefined) throw new CastoreError('empty', 'got no directories')
    // Nothing reaches the service before all of it was found to be right.
    await using putter = directories.putMultipleStart({ signal })
    for (const directory of graph) await putter.put(directory)
    const root = await putter.close()
    return root.bytes
  }

  return {
    async *Get(request, context) {
      try {
        yield* get(request.digest, request.recursive ?? false, context)
      } catch (error) {
        throw statusOf('DirectoryService/Get', error, context, onError)
      }
    },
    async Put(requests, context) {
      try {
        return { root_digest: await put(requests, context) }
      } catch (error) {
        throw statusOf('DirectoryService/Put', error, context, onError)
      }
    },
  }
}

function tooLarge(detail: string): CastoreError {
  return new CastoreError('too-large', detail)
}

/** A directory in any encoding that a protobuf library may choose, as other servers take it (spec 01 section 6.5). */
function decode(bytes: Uint8Array): Directory {
  try {
    return Directory.decode(bytes)
  } catch (error) {
    if (error instanceof DirectoryError && error.kind === 'NonCanonical')
      return Directory.decodeMessage(bytes)
    throw error
  }
}
