import type { Duplex } from 'node:stream'
import type { StoreOperation } from '@neve/castore-services/telemetry'
import type { Store } from '@neve/store-pathinfo'
import type { Context } from '../context.js'
import type { MetricsSnapshot } from '../http/http-metrics.js'
import type { HttpServing } from '../http/http-protocol.js'
import { describe } from '../messages.js'
import type { GcState } from './gc-schedule.js'
import type { Protocol } from './listening.js'
import type { DaemonOptions } from './options.js'
import type { ScrubState } from './scrub.js'

/** What is served: over gRPC all of a store, or its blobs and directories; over HTTP its binary caches, or a site. */
export interface ServedServices {
  readonly grpc?: 'store' | 'castore' | undefined
  readonly http?: HttpServing | undefined
}

/** How a connection came. */
export interface ConnectionOrigin {
  readonly tcp: boolean
  readonly protocol: Protocol
}

/** What serves a store over the connections that it is given. */
export interface StoreServer {
  /** Serves a connection, and closes it in the end. Over TCP there is TLS, if that is asked for. */
  accept(connection: Duplex, via: ConnectionOrigin): void
  /** Reads the tokens again. */
  reload(): Promise<void>
  /** Shows in its metrics what scrubs have found, if it has metrics. */
  observeScrub?(state: ScrubState): void
  /** The same of collections of garbage. */
  observeGc?(state: GcState): void
  /** What it has counted, if it has metrics. */
  snapshot?(): Promise<MetricsSnapshot | undefined>
  /** Takes no more calls, lets those that run end for so many milliseconds, and closes the store. */
  close(grace: number): Promise<void>
}

/** The server of one protocol. */
export interface ProtocolServer {
  accept(connection: Duplex, via: { readonly tls: boolean }): void
  /** Reads the tokens again that are its own. */
  reload?(): Promise<void>
  close(grace: number): Promise<void>
}

/**
 * Opens the store that the options name, and makes one server of it for all that is to be served.
 *
 * @param measureAll what all processes that serve the same have counted. Default: this one does it alone
 */
export async function openServer(
  context: Context,
  options: DaemonOptions,
  services: ServedServices,
  measureAll?: () => Promise<readonly MetricsSnapshot[] | undefined>,
): Promise<StoreServer> {
  const [{ AccessTokens }, { readTls }, { observedStore, storeBackends }, { LeaseRenewal }] =
    await Promise.all([
      import('@neve/castore-services/grpc/server'),
      import('./access.js'),
      import('../observe/observed-server.js'),
      import('./lease-renewal.js'),
    ])
  const log = await context.log()
  const { readOnly = false, tokenFile } = options
  const tls = readTls(options)
  const onError = (error: unknown): void => log.error(describe(error))
  const tokens = tokenFile === undefined ? undefined : await AccessTokens.fromFile(tokenFile, { onError })
  const opened = await context.openStore(options, readOnly ? 'read' : 'write')
  const stopping = new AbortController()
  const metrics = services.http && new (await import('../http/http-metrics.js')).HttpMetrics()
  const onOperation = metrics && ((operation: StoreOperation) => metrics.countOperation(operation))
  const store = observedStore(opened, onOperation)
  const lease = new LeaseRenewal(options.gcGrace, (error) => log.error(describe(error, context.io.debug)))
  lease.add(opened)
  const closeStores = async () => {
    if (store !== opened) await store.close()
    await opened.close()
  }
  const servers: Partial<Record<Protocol, ProtocolServer>> = {}
  try {
    const backends = storeBackends(store, log)
    const parts = { options, tls, tokens, log, backends, lease, onOperation, stop: stopping.signal }
    if (services.grpc !== undefined) {
      const { grpcServer } = await import('./grpc-protocol.js')
      const served = readOnly ? await readonlyStore(store) : store
      servers.grpc = await grpcServer({ ...parts, store: served, services: services.grpc })
    }
    if (services.http !== undefined && metrics !== undefined) {
      const { httpServer } = await import('../http/http-protocol.js')
      servers.http = await httpServer({ ...parts, store, metrics, measureAll, serving: services.http })
    }
  } catch (error) {
    await lease.close()
    await Promise.all(Object.values(servers).map((server) => server.close(0)))
    await closeStores()
    throw error
  }
  return {
    accept: (connection, { tcp, protocol }) =>
      servers[protocol]?.accept(connection, { tls: tcp && tls !== undefined }),
    async reload() {
      await tokens?.reload()
      await Promise.all(Object.values(servers).map((server) => server.reload?.()))
      log.info('read the tokens again')
    },
    observeScrub: (state) => metrics?.setScrub(state),
    observeGc: (state) => metrics?.setGc(state),
    snapshot: async () => await metrics?.snapshot(),
    async close(grace) {
      stopping.abort()
      await lease.close()
      await Promise.all(Object.values(servers).map((server) => server.close(grace)))
      await closeStores()
    },
  }
}

/** The same store for readers; it is closed by whoever opened the other one. */
async function readonlyStore({ blobs, directories, pathInfos }: Store): Promise<Store> {
  const [{ ReadonlyBlobService }, { ReadonlyDirectoryService }, { ReadonlyPathInfoService, Store }] =
    await Promise.all([
      import('@neve/castore-services/blob/readonly'),
      import('@neve/castore-services/directory/readonly'),
      import('@neve/store-pathinfo'),
    ])
  return new Store({
    blobs: new ReadonlyBlobService(blobs),
    directories: new ReadonlyDirectoryService(directories),
    pathInfos: new ReadonlyPathInfoService(pathInfos),
  })
}
