import { context, DiagLogLevel, diag, metrics, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { MeterProvider, type MetricReader, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { version } from '../version.js'
import type { TelemetryPlan } from './telemetry-plan.js'

/** The OpenTelemetry SDK of a process that runs. */
export interface Telemetry {
  /** Runs something as a span, the parent of what it causes. */
  span<T>(name: string, work: () => Promise<T>): Promise<T>
  /** Sends what is waiting, in at most {@link FLUSH_TIME}. Never rejects. */
  shutdown(): Promise<void>
}

/** How long a process may still take to send what it knows, in milliseconds. */
const FLUSH_TIME = 5000
const DEFAULT_METRIC_INTERVAL = 10_000

/**
 * Registers the SDK, which reads the rest of the `OTEL_*` variables itself: endpoints, headers, certificates, time-outs,
 * samplers, limits of batches.
 *
 * @param warn told of what cannot be sent
 * @param readers further readers of the metrics, such as one that shows them to Prometheus
 */
export async function startTelemetry(
  plan: TelemetryPlan,
  warn: (message: string) => void,
  readers: readonly MetricReader[] = [],
): Promise<Telemetry> {
  const tell = (message: string): void => warn(`OpenTelemetry: ${message}`)
  const ignore = (): void => {}
  diag.setLogger({ error: tell, warn: tell, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN)
  // Attributes of the environment go before ours.
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': 'neve',
        'service.version': version,
        'process.pid': process.pid,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }))
  const closing: (() => Promise<void>)[] = []

  if (plan.traces) {
    const tracers = new NodeTracerProvider({ resource, spanProcessors: [await spanProcessor()] })
    // With it comes the W3C trace context.
    tracers.register()
    closing.push(() => tracers.shutdown())
  }
  const allReaders = [...readers, ...(plan.metrics ? [await metricReader(plan.metricInterval)] : [])]
  if (allReaders.length > 0) {
    const meters = new MeterProvider({ resource, readers: allReaders })
    metrics.setGlobalMeterProvider(meters)
    closing.push(() => meters.shutdown())
  }

  return {
    span: (name, work) => inSpan(name, work),
    async shutdown() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          tell(`not everything could be sent within ${FLUSH_TIME} ms`)
          resolve()
        }, FLUSH_TIME)
      })
      const closed = Promise.all(closing.map((close) => close().catch((error: Error) => tell(error.message))))
      await Promise.race([closed, late])
      clearTimeout(timer)
    },
  }
}

async function spanProcessor(): Promise<BatchSpanProcessor> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
  return new BatchSpanProcessor(new OTLPTraceExporter())
}

async function metricReader(interval = DEFAULT_METRIC_INTERVAL): Promise<PeriodicExportingMetricReader> {
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto')
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis: interval,
    exportTimeoutMillis: Math.min(interval, 30_000),
  })
}

async function inSpan<T>(name: string, work: () => Promise<T>): Promise<T> {
  const span = trace.getTracer('@neve/cli').startSpan(name)
  try {
    return await context.with(trace.setSpan(context.active(), span), work)
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
    throw error
  } finally {
    span.end()
  }
}
