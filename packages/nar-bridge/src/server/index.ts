/**
 * Serving a binary cache with Node's own http server.
 *
 * @packageDocumentation
 */

export {
  BridgeServer,
  type BridgeServerOptions,
  type BridgeServerTls,
  type CloseOptions,
} from './bridge-server.js'
export type { Access } from './request-listener.js'
export { type RunningServer, type ServeOptions, serve } from './serve.js'
