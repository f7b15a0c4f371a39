import { context, type Histogram, metrics, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { activeTracer, realMeter } from './active-tracer.js'

const NAME = '@neve/castore-services'

type AnyMethod = (...args: unknown[]) => Promise<unknown>
type MethodNames<S> = {
  [K in keyof S]-?: S[K] extends (...args: never[]) => Promise<unknown> ? K : never
}[keyof S]

/** An operation of a service that is over. */
export interface StoreOperation {
  /** Of the service: `blobs`. */
  readonly kind: string
  readonly operation: string
  /** `ok`, the code of an error, or `error`. */
  readonly outcome: string
  readonly seconds: number
}

/** Options of {@link observeService}. */
export interface ObserveServiceOptions {
  /** Told of every operation, whether an SDK is registered or not. Keep it short. Default: nobody is. */
  readonly onOperation?: ((operation: StoreOperation) => void) | undefined
}

/**
 * A service whose operations are told to the OpenTelemetry SDK that is registered: a span, and a duration in
 * `neve.store.operation.duration`, each.
 *
 * @param kind what the service has, such as `blobs`
 * @param methods those that give promises and are to be told of; all others go to the service itself
 * @returns the service itself when no SDK is registered and nobody else is told
 */
export function observeService<S extends object>(
  service: S,
  kind: string,
  methods: readonly (MethodNames<S> & string)[],
  { onOperation }: ObserveServiceOptions = {},
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
  if (tracer === undefined && durations === undefined && onOperation === undefined) return service
  const known = new Map<PropertyKey, unknown>()
  const told = new Set<PropertyKey>(methods)
  return new Proxy(service, {
    get(target, key) {
      if (known.has(key)) return known.get(key)
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as AnyMethod
      const wrapped = told.has(key)
        ? observed(method, [kind, String(key)], { tracer, durations, onOperation })
        : method
      known.set(key, wrapped)
      return wrapped
    },
  })
}

interface Listeners extends ObserveServiceOptions {
  readonly tracer: Tracer | undefined
  readonly durations: Histogram | undefined
}

function observed(
  method: AnyMethod,
  [kind, operation]: readonly [string, string],
  { tracer, durations, onOperation }: Listeners,
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
      const seconds = (performance.now() - begun) / 1000
      durations?.record(seconds, { ...attributes, 'neve.store.outcome': outcome })
      onOperation?.({ kind, operation, outcome, seconds })
      span?.end()
    }
  }
}
