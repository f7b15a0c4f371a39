import type { Socket } from 'node:net'
import type { BridgeRequest, HttpHandler } from '@neve/nar-bridge'
import { type Access, BridgeServer } from '@neve/nar-bridge/server'
import type { ProtocolParts } from '../daemon/grpc-protocol.js'
import type { LeaseRenewal } from '../daemon/lease-renewal.js'
import type { ProtocolServer } from '../daemon/store-server.js'
import type { Logger } from '../observe/logger.js'
import { shown } from './binary-cache.js'
import type { CachePlan } from './cache-plan.js'
import type { HttpMetrics, MetricsSnapshot } from './http-metrics.js'
import type { SitePlan } from './site.js'

/** What is served over HTTP: binary caches of the store, or a tree of it as a web site. */
export type HttpServing = { readonly caches: readonly CachePlan[] } | { readonly site: SitePlan }

interface Served {
  readonly handler: HttpHandler
  readonly onAccess?: (access: Access) => void
  reload?(): Promise<void>
  close?(): Promise<void>
}

/** What is counted, here and by all processes that serve the same. */
interface Measuring {
  readonly metrics: HttpMetrics
  readonly measureAll: (() => Promise<readonly MetricsSnapshot[] | undefined>) | undefined
}

/** Serves a store over HTTP. */
export async function httpServer(
  parts: ProtocolParts & Measuring & { readonly serving: HttpServing },
): Promise<ProtocolServer> {
  const { serving, options, tls, log } = parts
  const served =
    'site' in serving ? await openSite(parts, serving.site) : await openCaches(parts, serving.caches)
  const { onAccess } = served
  const logs = options.accessLog === true
  const server = new BridgeServer(served.handler, {
    tls,
    onAccess:
      onAccess === undefined && !logs
        ? undefined
        : (access) => {
            onAccess?.(access)
            if (logs) logAccess(log, access)
          },
  })
  return {
    // Whatever is listened on gives sockets.
    accept: (connection, { tls: secure }) => server.connect(connection as Socket, { tls: secure }),
    reload: async () => await served.reload?.(),
    async close(grace) {
      await server.close({ grace })
      await served.close?.()
    },
  }
}

async function openSite(parts: ProtocolParts, site: SitePlan): Promise<Served> {
  const { siteHandler } = await import('./site.js')
  return { handler: await siteHandler(parts, site) }
}

async function openCaches(parts: ProtocolParts & Measuring, plans: readonly CachePlan[]): Promise<Served> {
  const { metrics, measureAll, tokens, lease } = parts
  const [{ openBinaryCaches }, { withOperations }] = await Promise.all([
    import('./binary-caches.js'),
    import('./operations.js'),
  ])
  const caches = await openBinaryCaches(parts, plans)
  const { backends } = caches
  const prefixes = plans.map(({ prefix }) => prefix).filter((prefix) => prefix !== '')
  return {
    handler: withOperations(whileServed(caches.handler, lease), { backends, metrics, measureAll, tokens }),
    onAccess: (access) => metrics.count(belowPrefix(access, prefixes)),
    reload: () => caches.reload(),
    close: async () => await caches[Symbol.asyncDispose](),
  }
}

/**
 * Tells of each request while it is answered, if that takes any time. Its body has come by then; that of the answer leans
 * on nothing.
 */
function whileServed(handler: HttpHandler, lease: LeaseRenewal): HttpHandler {
  return Object.assign((request: Request) => lease.during(() => handler(request)), {
    answer: (request: BridgeRequest) => lease.during(() => handler.answer(request)),
    quick: handler.quick,
  })
}

/** The request as the cache saw it: its route does not depend on where the cache is. */
function belowPrefix(access: Access, prefixes: readonly string[]): Access {
  const { target } = access
  const prefix = prefixes.find((one) => target.startsWith(`${one}/`))
  return prefix === undefined ? access : { ...access, target: target.slice(prefix.length) }
}

function logAccess(log: Logger, access: Access): void {
  const { client, method, target, status, bytes, milliseconds, whole } = access
  const ms = Math.round(milliseconds * 10) / 10
  const cut = whole ? {} : { cut: true }
  log.info({ client, method, target: shown(target), status, bytes, ms, ...cut }, 'request')
}
