import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { activeTracer } from './active-tracer.js'

/**
 * `fetch`, as a part of the trace that runs: the server is told of it in `traceparent`. The span ends with the headers
 * of the answer. Without an OpenTelemetry SDK it is `fetch` and nothing else.
 *
 * @param target what it has of secrets, before the host or after a question mark, is told to nobody but the server
 */
export function tracedFetch(
  target: URL,
  init: RequestInit & { readonly method: string; readonly headers: Readonly<Record<string, string>> },
): Promise<Response> {
  const tracer = activeTracer('@neve/castore-services')
  if (tracer === undefined) return fetch(target, init)
  const span = tracer.startSpan(init.method, {
    kind: SpanKind.CLIENT,
    attributes: {
      'http.request.method': init.method,
      'server.address': target.host,
      'url.full': `${target.origin}${target.pathname}`,
    },
  })
  const within = trace.setSpan(context.active(), span)
  const headers: Record<string, string> = { ...init.headers }
  propagation.inject(within, headers)
  return context.with(within, async () => {
    try {
      const response = await fetch(target, { ...init, headers })
      span.setAttribute('http.response.status_code', response.status)
      if (response.status >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
      return response
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
      throw error
    } finally {
      span.end()
    }
  })
}
