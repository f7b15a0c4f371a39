/**
 * Serving a binary cache with Node's own http server.
 *
 * @packageDocumentation
 */

export type { Access } from './request-listener.js'
export {
  BridgeServer,
  type BridgeServerOptions,
  type CloseOptions,
  type RunningServer,
  type ServeOptions,
  serve,
} from './serve.js'
