import { context, type Histogram, metrics, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { activeTracer, realMeter } from './active-tracer.js'

const NAME = '@neve/castore-services'

type AnyMethod = (...args: unknown[]) => Promise<unknown>
type MethodNames<S> = {
  [K in keyof S]-?: S[K] extends (...args: never[]) => Promise<unknown> ? K : never
}[keyof S]

/**
 * A service whose operations are told to the OpenTelemetry SDK that is registered: a span, and a duration in
 * `neve.store.operation.duration`, each.
 *
 * @param kind what the service has, such as `blobs`
 * @param methods those that give promises and are to be told of; all others go to the service itself
 * @returns the service itself when no SDK is registered
 */
export function observeService<S extends object>(
  service: S,
  kind: string,
  methods: readonly (MethodNames<S> & string)[],
): S {
  const tracer = activeTracer(NAME)
  const durations = realMeter(metrics.getMeterProvider(), NAME)?.createHistogram(
    'neve.store.operation.duration',
    {
      unit: 's',
      description: 'how long operations of the store took; their number is the number of operations',
      advice: { explicitBucketBoundaries: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
    },
  )
  if (tracer === undefined && durations === undefined) return service
  const known = new Map<PropertyKey, unknown>()
  const told = new Set<PropertyKey>(methods)
  return new Proxy(service, {
    get(target, key) {
      if (known.has(key)) return known.get(key)
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as AnyMethod
      const wrapped = told.has(key) ? observed(method, kind, String(key), tracer, durations) : method
      known.set(key, wrapped)
      return wrapped
    },
  })
}

function observed(
  method: AnyMethod,
  kind: string,
  operation: string,
  tracer: Tracer | undefined,
  durations: Histogram | undefined,
): AnyMethod {
  const attributes = { 'neve.store.kind': kind, 'neve.store.operation': operation }
  return async (...args) => {
    const begun = performance.now()
    const span = tracer?.startSpan(`${kind} ${operation}`, { attributes })
    const within = span === undefined ? context.active() : trace.setSpan(context.active(), span)
    let outcome = 'ok'
    try {
      return await context.with(within, () => method(...args))
    } catch (error) {
      outcome = 'error'
      const { code, message } = error as { code?: unknown; message?: string }
      if (typeof code === 'string') outcome = code
      span?.setStatus({ code: SpanStatusCode.ERROR, message: message ?? String(error) })
      throw error
    } finally {
      durations?.record((performance.now() - begun) / 1000, { ...attributes, 'neve.store.outcome': outcome })
      span?.end()
    }
  }
}
