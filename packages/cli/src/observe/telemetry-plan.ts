import { UsageError } from '../messages.js'

/** What is told to OpenTelemetry. */
export interface TelemetryPlan {
  readonly traces: boolean
  readonly metrics: boolean
  /** How often metrics are sent, in milliseconds. Default: 10,000. */
  readonly metricInterval?: number | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * What the standard variables ask for: nothing unless an endpoint or an exporter is named.
 *
 * @returns undefined when there is nothing to tell
 * @throws UsageError for exporters and protocols that there are not
 */
export function telemetryPlan(environment: Environment = process.env): TelemetryPlan | undefined {
  if (environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined
  const traces = exports('TRACES', environment)
  const metrics = exports('METRICS', environment)
  if (!traces && !metrics) return undefined
  return { traces, metrics, metricInterval: milliseconds('OTEL_METRIC_EXPORT_INTERVAL', environment) }
}

function exports(signal: 'TRACES' | 'METRICS', environment: Environment): boolean {
  const name = `OTEL_${signal}_EXPORTER`
  const exporter = given(environment[name])
  if (exporter !== undefined && !['otlp', 'none'].includes(exporter)) {
    throw new UsageError(`${name}: unknown exporter "${exporter}", expected otlp or none`)
  }
  const endpoint = of('ENDPOINT', signal, environment)
  const wanted = exporter === 'otlp' || (exporter === undefined && endpoint !== undefined)
  const protocol = of('PROTOCOL', signal, environment) ?? 'http/protobuf'
  if (wanted && protocol !== 'http/protobuf') {
    throw new UsageError(
      `OTEL_EXPORTER_OTLP_PROTOCOL: ${protocol} is not spoken, expected http/protobuf (port 4318)`,
    )
  }
  return wanted
}

/** The variable of one signal, else that of all. */
function of(what: string, signal: string, environment: Environment): string | undefined {
  return (
    given(environment[`OTEL_EXPORTER_OTLP_${signal}_${what}`]) ??
    given(environment[`OTEL_EXPORTER_OTLP_${what}`])
  )
}

function milliseconds(name: string, environment: Environment): number | undefined {
  const text = given(environment[name])
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new UsageError(`${name}: "${text}" is no number of milliseconds`)
}

function given(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value.trim()
}
