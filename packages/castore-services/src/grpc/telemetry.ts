import {
  type Attributes,
  type Context,
  type Counter,
  context,
  type Histogram,
  type MeterProvider,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { Status } from 'nice-grpc-common'
import { activeTracer, realMeter } from '../telemetry/active-tracer.js'

/** What instruments are named by. */
const NAME = '@neve/castore-services'

/** How a call ended, and what it carried, in bytes of messages. */
export interface CallOutcome {
  readonly code: Status
  readonly details: string
  readonly sent: number
  readonly received: number
}

/** A call that is told to whoever registered an OpenTelemetry SDK. */
export interface CallTelemetry {
  /** What a server has to be told, so that its spans become children of this call's. */
  readonly headers: Readonly<Record<string, string>>
  /** The context for whatever the call causes. */
  readonly context: Context
  end(outcome: CallOutcome): void
}

/**
 * Begins to tell of a call that is made.
 *
 * @param path of the method: `/package.Service/Method`
 * @returns undefined when nobody wants to know: then it has cost nothing
 */
export function clientCallTelemetry(path: string, server: string): CallTelemetry | undefined {
  const tracer = activeTracer(NAME)
  const meters = callMeters()
  if (tracer === undefined && meters === undefined) return undefined
  return begin(SpanKind.CLIENT, path, { 'server.address': server }, context.active(), { tracer, meters })
}

/**
 * Begins to tell of a call that is served, as a part of the trace that its client tells.
 *
 * @returns undefined when nobody wants to know
 */
export function serverCallTelemetry<Carrier>(
  path: string,
  peer: string,
  carrier: Carrier,
  getter: TextMapGetter<Carrier>,
): CallTelemetry | undefined {
  const tracer = activeTracer(NAME)
  const meters = callMeters()
  if (tracer === undefined && meters === undefined) return undefined
  const parent = propagation.extract(ROOT_CONTEXT, carrier, getter)
  return begin(SpanKind.SERVER, path, { 'client.address': peer }, parent, { tracer, meters })
}

interface Instruments {
  readonly tracer: Tracer | undefined
  readonly meters: CallMeters | undefined
}

function begin(
  kind: SpanKind.CLIENT | SpanKind.SERVER,
  path: string,
  peer: Attributes,
  parent: Context,
  { tracer, meters }: Instruments,
): CallTelemetry {
  const [, service = '', method = ''] = path.split('/')
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method }
  const begun = performance.now()
  const span = tracer?.startSpan(path.slice(1), { kind, attributes: { ...attributes, ...peer } }, parent)
  const within = span === undefined ? parent : trace.setSpan(parent, span)
  const headers: Record<string, string> = {}
  if (kind === SpanKind.CLIENT && span !== undefined) propagation.inject(within, headers)
  return {
    headers,
    context: within,
    end(outcome) {
      const ended = { ...attributes, 'rpc.grpc.status_code': outcome.code }
      meters?.[kind].duration.record((performance.now() - begun) / 1000, ended)
      meters?.[kind].sent.add(outcome.sent, attributes)
      meters?.[kind].received.add(outcome.received, attributes)
      if (span !== undefined) endSpan(span, kind, outcome)
    },
  }
}

/** Answers that a server gives on purpose are no errors of its own. */
const SERVER_ERRORS: ReadonlySet<Status> = new Set([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
])

function endSpan(span: Span, kind: SpanKind, { code, details, sent, received }: CallOutcome): void {
  span.setAttributes({
    'rpc.grpc.status_code': code,
    'neve.rpc.sent_bytes': sent,
    'neve.rpc.received_bytes': received,
  })
  const failed = kind === SpanKind.CLIENT ? code !== Status.OK : SERVER_ERRORS.has(code)
  if (failed) span.setStatus({ code: SpanStatusCode.ERROR, message: details })
  span.end()
}

interface DirectionMeters {
  readonly duration: Histogram
  readonly sent: Counter
  readonly received: Counter
}
type CallMeters = Readonly<Record<SpanKind.CLIENT | SpanKind.SERVER, DirectionMeters>>

let known: { readonly provider: MeterProvider; readonly meters: CallMeters | undefined } | undefined

/** The instruments of the provider that is registered, undefined while there is none. */
function callMeters(): CallMeters | undefined {
  const provider = metrics.getMeterProvider()
  if (known?.provider !== provider) known = { provider, meters: makeMeters(provider) }
  return known.meters
}

function makeMeters(provider: MeterProvider): CallMeters | undefined {
  const meter = realMeter(provider, NAME)
  if (meter === undefined) return undefined
  const of = (side: 'client' | 'server'): DirectionMeters => ({
    duration: meter.createHistogram(`rpc.${side}.duration`, {
      unit: 's',
      description: 'how long calls took, streams included; their number is the number of calls',
      advice: { explicitBucketBoundaries: BUCKETS },
    }),
    sent: meter.createCounter(`neve.rpc.${side}.sent`, { unit: 'By', description: 'bytes of messages sent' }),
    received: meter.createCounter(`neve.rpc.${side}.received`, {
      unit: 'By',
      description: 'bytes of messages received',
    }),
  })
  return { [SpanKind.CLIENT]: of('client'), [SpanKind.SERVER]: of('server') }
}

/** From what memory answers to what a long upload takes, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
