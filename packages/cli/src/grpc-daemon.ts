import { closeSync, writeSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import type { Store } from '@neve/store-pathinfo'
import type { Context } from './context.js'
import type { ListenPlan, Sockets } from './daemon/listening.js'
import type { DaemonOptions } from './daemon/options.js'
import { describe, systemReason, UsageError } from './messages.js'
import type { Logger } from './observe/logger.js'
import { storeSources } from './store-options.js'

/** What is served: all of a store, or its blobs and directories. */
export type ServedServices = 'store' | 'castore'

/** What serves a store over the connections that it is given. */
export interface StoreServer {
  /** Serves a connection, and closes it in the end. Over TCP there is TLS, if that is asked for. */
  accept(connection: Duplex, via: { readonly tcp: boolean }): void
  /** Reads the tokens again. */
  reload(): Promise<void>
  /** Takes no more calls, lets those that run end for so many milliseconds, and closes the store. */
  close(grace: number): Promise<void>
}

/** Opens the store that the options name, and makes a server of it. */
export async function openServer(
  context: Context,
  options: DaemonOptions,
  services: ServedServices,
): Promise<StoreServer> {
  const [{ AccessTokens, castoreServer, requireTokens }, { readTls }, { observedStore, observeServer }] =
    await Promise.all([
      import('@neve/castore-services/grpc/server'),
      import('./daemon/access.js'),
      import('./observe/observed-server.js'),
    ])
  const log = await context.log()
  const { readOnly = false, tokenFile, verifyPut } = options
  const tls = readTls(options)
  const tokens = tokenFile === undefined ? undefined : await AccessTokens.fromFile(tokenFile)
  const opened = await context.openStore(options, readOnly ? 'read' : 'write')
  try {
    const store = observedStore(readOnly ? await readonlyStore(opened) : opened)
    const stopping = new AbortController()
    const observe = await observeServer({ store, log, stop: stopping.signal })
    const pathInfos = services === 'store' ? await import('@neve/store-pathinfo/grpc/server') : undefined
    const server = castoreServer({
      blobs: store.blobs,
      directories: store.directories,
      tls,
      verifyPut,
      extend(registry) {
        if (tokens !== undefined) registry.use(requireTokens(tokens))
        const { list } = options
        pathInfos?.addPathInfoService(registry, store.pathInfos, { contents: store, list })
        observe(registry)
      },
    })
    return {
      accept: (connection, { tcp }) => void server.accept(connection, { tls: tcp && tls !== undefined }),
      async reload() {
        await tokens?.reload()
        log.info('read the tokens again')
      },
      async close(grace) {
        stopping.abort()
        await server.close({ grace })
        await opened.close()
      },
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** Serves a store until it is told to stop. */
export async function serveStore(
  context: Context,
  options: DaemonOptions,
  services: ServedServices,
): Promise<void> {
  const [{ listenPlan, Sockets }, { serviceManager, standardStreams }] = await Promise.all([
    import('./daemon/listening.js'),
    import('@neve/castore-services/listen'),
  ])
  const { io } = context
  const log = await context.log()
  const report = (error: unknown): void => log.error(describe(error, io.debug))
  const plan = listenPlan(options)
  const manager = serviceManager(report)
  const server = await openServers(context, options, services, plan)
  if (server === undefined) return
  const reload = (): void => void server.reload().catch(report)
  if (options.tokenFile !== undefined) process.on('SIGHUP', reload)
  try {
    await using sockets = new Sockets()
    await sockets.open(plan, options, (socket, via) => server.accept(socket, via), {
      paused: options.workers > 1,
      onError: report,
    })
    const stdio = plan.stdio ? standardStreams() : undefined
    if (stdio !== undefined) server.accept(stdio, { tcp: false })
    context.runsUntilStopped = true
    manager?.ready()
    announce(log, options, sockets)
    await stopped(io.signal, plan.addresses.length === 0 ? stdio : undefined)
    manager?.stopping()
    log.info('stopping once calls that run have ended; again to stop at once')
  } finally {
    await server.close(options.grace * 1000)
    process.off('SIGHUP', reload)
  }
}

/** One server in this process, or several that are processes of their own; undefined when one of these has failed. */
async function openServers(
  context: Context,
  options: DaemonOptions,
  services: ServedServices,
  { stdio }: ListenPlan,
): Promise<StoreServer | undefined> {
  if (options.workers === 1) return await openServer(context, options, services)
  if (stdio)
    throw new UsageError('--workers is for sockets: there is one connection over standard input and output')
  const [{ expectShared }, { WorkerPool, WorkerStartError }] = await Promise.all([
    import('./daemon/shared-store.js'),
    import('./daemon/worker-pool.js'),
  ])
  await expectShared(storeSources(options))
  try {
    return await WorkerPool.start(await context.log(), {
      options,
      services,
      debug: context.io.debug === true,
    })
  } catch (error) {
    if (!(error instanceof WorkerStartError)) throw error
    // It has said why.
    context.exitCode = error.exitCode
    return undefined
  }
}

/** Tells that clients can connect. */
function announce(log: Logger, { readyFd, tokenFile, tlsCert }: DaemonOptions, sockets: Sockets): void {
  const tls = tlsCert !== undefined
  for (const address of tokenFile === undefined || tls ? [] : sockets.remote) {
    log.warn(`tokens come to ${address} in plain text, where others may read them: give --tls-cert`)
  }
  const urls = sockets.urls(tls)
  const where = urls.length === 0 ? 'standard input and output' : urls.join(' ')
  log.info({ listen_address: urls }, `serving on ${where}`)
  if (readyFd === undefined) return
  try {
    writeSync(readyFd, '\n')
    if (readyFd > 2) closeSync(readyFd)
  } catch (error) {
    throw new UsageError(`--ready-fd ${readyFd}: ${systemReason(error)}`)
  }
}

/** Settles when the user wants it to stop, or the connection that is all there is has ended. */
async function stopped(signal: AbortSignal, connection: Duplex | undefined): Promise<void> {
  if (signal.aborted || connection?.destroyed) return
  await new Promise<void>((stop) => {
    signal.addEventListener('abort', () => stop(), { once: true })
    connection?.once('close', stop)
  })
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
