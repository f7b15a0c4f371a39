import { castoreHttp, type HttpHandler } from '@neve/nar-bridge'
import { resolveAddress } from '../address.js'
import type { ProtocolParts } from '../daemon/grpc-protocol.js'
import { UsageError } from '../messages.js'
import { logFailure } from './binary-cache.js'

/** A tree to serve as a web site. It can be sent to another process as JSON. */
export interface SitePlan {
  /** A store path or a digest, with or without a path below it. */
  readonly address: string
  /** Refuse what is no directory. */
  readonly directoryOnly: boolean
  readonly indexNames: readonly string[]
  readonly autoIndex: boolean
}

/** @throws UsageError; StoreError `not-found` */
export async function siteHandler(
  { store, tokens, log }: Pick<ProtocolParts, 'store' | 'tokens' | 'log'>,
  { address, directoryOnly, indexNames, autoIndex }: SitePlan,
): Promise<HttpHandler> {
  const { node } = await resolveAddress(store, address)
  if (directoryOnly && node.kind !== 'directory') {
    throw new UsageError(`--root-directory: ${address} is a ${node.kind}, expected a directory`)
  }
  return castoreHttp(store, node, {
    ...{ indexNames, autoIndex, tokens },
    onError: ({ method, target }, error) => logFailure(log, method, target, error),
  })
}
