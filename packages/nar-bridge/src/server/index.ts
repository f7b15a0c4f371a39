/**
 * Serving a binary cache with Node's own http server.
 *
 * @packageDocumentation
 */

export type { Access } from './request-listener.js'
export { type BridgeServer, type ServeOptions, serve } from './serve.js'
