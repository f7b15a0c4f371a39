import {
  type BridgeRequest,
  checkAccess,
  HttpError,
  type HttpHandler,
  httpHandler,
  type Reply,
  type RequestHead,
  type TokenSource,
} from '@neve/nar-bridge'
import type { StoreBackends } from '../observe/observed-server.js'
import { type HttpMetrics, type MetricsSnapshot, metricsText } from './http-metrics.js'

/** What operators ask for. */
export interface Operations {
  readonly backends: StoreBackends
  readonly metrics: HttpMetrics
  /** What all processes have counted; undefined where one does not say so. Default: there is this one. */
  readonly measureAll?: (() => Promise<readonly MetricsSnapshot[] | undefined>) | undefined
  /** Metrics are for those who may read; health is for everybody, as over gRPC. */
  readonly tokens: TokenSource | undefined
}

/** Puts `/healthz` and `/metrics` before what else is served. */
export function withOperations(
  served: HttpHandler,
  { backends, metrics, measureAll, tokens }: Operations,
): HttpHandler {
  const operations = httpHandler(async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new HttpError(405, `${request.method} is not for this`, { allow: 'GET, HEAD' })
    }
    if (request.target === '/healthz') return await health(backends)
    if (tokens !== undefined) checkAccess(request, 'read', tokens)
    if (measureAll === undefined) return text(200, await metrics.text(), metrics.contentType)
    const all = await measureAll()
    // A sum without one of them would look as if it had been started again.
    if (all === undefined) throw new HttpError(503, 'a worker has not said what it has counted')
    return text(200, await metricsText(all), metrics.contentType)
  }, undefined)
  const handlerOf = (path: string) => (path === '/healthz' || path === '/metrics' ? operations : served)
  return Object.assign((request: Request) => handlerOf(new URL(request.url).pathname)(request), {
    answer: (request: BridgeRequest) => handlerOf(request.target).answer(request),
    quick: (request: RequestHead) => handlerOf(request.target).quick?.(request),
  })
}

async function health(backends: StoreBackends): Promise<Reply> {
  const asked = Object.entries(backends).map(
    async ([name, backend]) => [name, await backend.healthy()] as const,
  )
  const answers = await Promise.all(asked)
  const lines = answers.map(([name, healthy]) => `${name}: ${healthy ? 'ok' : 'does not answer'}\n`)
  return text(answers.every(([, healthy]) => healthy) ? 200 : 503, lines.join(''))
}

function text(status: number, body: string, type = 'text/plain; charset=utf-8'): Reply {
  const length = `${Buffer.byteLength(body)}`
  return {
    status,
    headers: { 'content-type': type, 'content-length': length, 'cache-control': 'no-store' },
    body,
  }
}
