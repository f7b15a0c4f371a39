import {
  type AccessTokens,
  castoreServer,
  type GrpcServerTls,
  requireTokens,
} from '@neve/castore-services/grpc/server'
import type { StoreOperation } from '@neve/castore-services/telemetry'
import type { Store } from '@neve/store-pathinfo'
import type { Logger } from '../observe/logger.js'
import { observeServer, type StoreBackends } from '../observe/observed-server.js'
import type { LeaseRenewal } from './lease-renewal.js'
import type { DaemonOptions } from './options.js'
import type { ProtocolServer } from './store-server.js'

/** What a server of either protocol is made of. */
export interface ProtocolParts {
  readonly options: DaemonOptions
  readonly store: Store
  readonly backends: StoreBackends
  readonly log: Logger
  readonly tls: GrpcServerTls | undefined
  readonly tokens: AccessTokens | undefined
  /** Told of what the store did, where somebody counts it. */
  readonly onOperation: ((operation: StoreOperation) => void) | undefined
  /** Has every call served that may lean on what is in a store. */
  readonly lease: LeaseRenewal
  /** Fires when the server is about to close. */
  readonly stop: AbortSignal
}

/** Serves a store over gRPC. */
export async function grpcServer({
  services,
  ...parts
}: ProtocolParts & { readonly services: 'store' | 'castore' }): Promise<ProtocolServer> {
  const { options, store, backends, log, tls, tokens, lease, stop } = parts
  const { verifyPut, list } = options
  const observe = await observeServer({ backends, log, stop })
  const pathInfos = services === 'store' ? await import('@neve/store-pathinfo/grpc/server') : undefined
  const server = castoreServer({
    blobs: store.blobs,
    directories: store.directories,
    tls,
    verifyPut,
    extend(registry) {
      if (tokens !== undefined) registry.use(requireTokens(tokens))
      pathInfos?.addPathInfoService(registry, store.pathInfos, { contents: store, list })
      registry.observe((_, serve) => lease.during(serve))
      observe(registry)
    },
  })
  return {
    accept: (connection, { tls: secure }) => void server.accept(connection, { tls: secure }),
    close: (grace) => server.close({ grace }),
  }
}
