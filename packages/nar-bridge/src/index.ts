/**
 * A Nix binary cache over HTTP, of any store.
 *
 * @packageDocumentation
 */

export { type AccessRules, checkAccess, type TokenSource } from './access.js'
export type { BridgeStore, NarBridgeOptions, NarCompression } from './bridge-options.js'
export { type CastoreHttpOptions, castoreHttp, type SiteServices } from './castore-http/castore-http.js'
export type { BridgeRequest, Reply, ReplyStream, RequestHead } from './exchange.js'
export { HttpError } from './http-error.js'
export { type HttpHandler, httpHandler } from './http-handler.js'
export { type NarBridge, narBridge } from './nar-bridge.js'
export { type PrefixedHandler, prefixed } from './prefixed.js'
