import type { Node } from '@neve/castore-model'
import type { BlobService, CallOptions, DirectoryService } from '@neve/castore-services'
import { calculateNar } from '../measure-nar.js'
import { NarMismatchError } from '../nar-mismatch-error.js'
import type { PathInfo } from '../path-info.js'

/** Blobs and directories of a peer. */
export interface RemoteCastore {
  readonly blobs: BlobService
  readonly directories: DirectoryService
  close(): Promise<void>
}

/** Opens the castore services that may be where a binary cache is: same host, same security, gRPC. */
export async function openRemoteCastore(origin: URL, connectTimeout: number): Promise<RemoteCastore> {
  // Only caches of this kind need them.
  const { GrpcBlobService, GrpcDirectoryService, openGrpcChannel } = await import(
    '@neve/castore-services/grpc'
  )
  const url = `grpc+${origin.protocol}//${origin.host}`
  const channel = await openGrpcChannel(url, { connectTimeout, timeout: connectTimeout, waitConnect: true })
  return {
    blobs: new GrpcBlobService(channel),
    directories: new GrpcDirectoryService(channel),
    close: () => channel.close(),
  }
}

/**
 * Copies what is missing of a tree from a peer, and makes sure that it is what was promised.
 *
 * @throws NarMismatchError; errors of the services
 */
export async function substitute(
  from: RemoteCastore,
  to: { readonly blobs: BlobService; readonly directories: DirectoryService },
  node: Node,
  promised: Pick<PathInfo, 'narSize' | 'narSha256'>,
  { signal }: CallOptions,
): Promise<void> {
  if (node.kind !== 'symlink') {
    const { copyClosure } = await import('@neve/castore-services/copy')
    await copyClosure({ from, to }, node, { signal })
  }
  const { narSize, narSha256 } = await calculateNar(to, node, { signal })
  if (narSize !== promised.narSize) {
    throw new NarMismatchError('size', `${promised.narSize} bytes`, `${narSize}`)
  }
  const [expected, actual] = [promised.narSha256, narSha256].map((hash) => Buffer.from(hash).toString('hex'))
  if (expected !== actual) throw new NarMismatchError('hash', expected!, actual!)
}
