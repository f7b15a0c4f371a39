import {
  createNoopMeter,
  type Meter,
  type MeterProvider,
  ProxyTracerProvider,
  type Tracer,
  trace,
} from '@opentelemetry/api'

/**
 * The tracer of the OpenTelemetry SDK that the process has registered. A library asks for it each time, and makes no
 * spans when there is none: those that the API makes then cost something, and are nothing.
 *
 * @param name of the library
 * @returns undefined while no SDK is registered
 */
export function activeTracer(name: string): Tracer | undefined {
  const provider = trace.getTracerProvider()
  return provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(name) : provider.getTracer(name)
}

/** The meter of a provider, undefined when it is the one that counts nothing. */
export function realMeter(provider: MeterProvider, name: string): Meter | undefined {
  const meter = provider.getMeter(name)
  return meter === createNoopMeter() ? undefined : meter
}
