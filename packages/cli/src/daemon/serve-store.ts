import { closeSync, writeSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import type { Context } from '../context.js'
import type { CachePlan } from '../http/cache-plan.js'
import { describe, systemReason, UsageError } from '../messages.js'
import type { Logger } from '../observe/logger.js'
import { storeSources } from '../store-options.js'
import { gcPlan } from './gc-plan.js'
import { GcSchedule } from './gc-schedule.js'
import type { ListenPlan, ListenRequest, Sockets } from './listening.js'
import type { DaemonOptions } from './options.js'
import { Scrub, scrubPlan } from './scrub.js'
import type { ServedServices, StoreServer } from './store-server.js'

/**
 * Serves a store until it is told to stop.
 *
 * @param requests where to listen, and for what
 * @param services what is served there; what is served over HTTP, where a request asks for it
 */
export async function serveStore(
  context: Context,
  options: DaemonOptions,
  requests: readonly ListenRequest[],
  services: ServedServices,
): Promise<void> {
  const [{ listenPlan, Sockets }, { serviceManager, standardStreams }] = await Promise.all([
    import('./listening.js'),
    import('@neve/castore-services/listen'),
  ])
  const { io } = context
  const log = await context.log()
  const report = (error: unknown): void => log.error(describe(error, io.debug))
  const scrubbing = scrubPlan(options)
  const collecting = await gcPlan(options, cachesOf(services))
  const plan = listenPlan(requests, options, cachesOf(services))
  const manager = serviceManager(report)
  const overHttp = requests.some(({ protocol, addresses }) => protocol === 'http' && addresses.length > 0)
  const served = overHttp ? services : { grpc: services.grpc }
  const server = await openServers(context, options, served, plan)
  if (server === undefined) return
  const reload = (): void => void server.reload().catch(report)
  const hasTokens = [options, ...cachesOf(services)].some(({ tokenFile }) => tokenFile !== undefined)
  if (hasTokens) process.on('SIGHUP', reload)
  let scrub: Scrub | undefined
  let gc: GcSchedule | undefined
  try {
    await using sockets = new Sockets()
    await sockets.open(plan, (socket, via) => server.accept(socket, via), {
      paused: options.workers > 1,
      onError: report,
    })
    const stdio = plan.stdio ? standardStreams() : undefined
    if (stdio !== undefined) server.accept(stdio, { tcp: false, protocol: 'grpc' })
    context.runsUntilStopped = true
    manager?.ready()
    announce(log, options, sockets, hasTokens)
    scrub = scrubbing && new Scrub(context, options, scrubbing, server.observeScrub?.bind(server))
    gc = collecting && new GcSchedule(collecting, log, server.observeGc?.bind(server))
    await stopped(io.signal, plan.places.length === 0 ? stdio : undefined)
    manager?.stopping()
    log.info('stopping once calls that run have ended; again to stop at once')
  } finally {
    await Promise.all([scrub?.close(), gc?.close()])
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
  if (options.workers === 1) {
    const { openServer } = await import('./store-server.js')
    return await openServer(context, options, services)
  }
  if (stdio)
    throw new UsageError('--workers is for sockets: there is one connection over standard input and output')
  const [{ expectShared }, { WorkerPool, WorkerStartError }] = await Promise.all([
    import('./shared-store.js'),
    import('./worker-pool.js'),
  ])
  await expectShared(storeSources(options))
  for (const { store } of cachesOf(services)) if (store !== undefined) await expectShared(store)
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
function announce(
  log: Logger,
  { readyFd, tlsCert }: DaemonOptions,
  sockets: Sockets,
  hasTokens: boolean,
): void {
  const tls = tlsCert !== undefined
  for (const address of !hasTokens || tls ? [] : sockets.remote) {
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

/** The binary caches among what is served. */
function cachesOf({ http }: ServedServices): readonly CachePlan[] {
  return http !== undefined && 'caches' in http ? http.caches : []
}

/** Settles when the user wants it to stop, or the connection that is all there is has ended. */
async function stopped(signal: AbortSignal, connection: Duplex | undefined): Promise<void> {
  if (signal.aborted || connection?.destroyed) return
  await new Promise<void>((stop) => {
    signal.addEventListener('abort', () => stop(), { once: true })
    connection?.once('close', stop)
  })
}
