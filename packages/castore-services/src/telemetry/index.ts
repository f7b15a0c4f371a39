/**
 * What services and their clients tell to OpenTelemetry. Only its API is used: what becomes of spans and figures decides
 * the process, with the SDK that it registers. Without one nothing is made.
 *
 * @packageDocumentation
 */
export { activeTracer } from './active-tracer.js'
export { type ObserveServiceOptions, observeService, type StoreOperation } from './observe-service.js'
export { tracedFetch } from './traced-fetch.js'
