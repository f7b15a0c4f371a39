import { context } from '@opentelemetry/api'
import { serverCallTelemetry } from '../telemetry.js'
import type { CallObserver } from './call-observer.js'

/**
 * Tells the OpenTelemetry SDK that is registered of each call: a span that continues the client's trace, how long it
 * took, and the bytes of its messages. Give it to {@link GrpcServer.observe}.
 */
export const tracedCalls: CallObserver = async ({ path, peer, headers }, serve) => {
  const telemetry = serverCallTelemetry(path, peer, headers, {
    keys: (carrier) => Object.keys(carrier),
    get: (carrier, key) => carrier[key],
  })
  if (telemetry === undefined) return await serve()
  const served = await context.with(telemetry.context, serve)
  telemetry.end(served)
  return served
}
