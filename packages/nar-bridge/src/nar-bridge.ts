import type { BridgeStore, NarBridgeOptions } from './bridge-options.js'
import { type HttpHandler, httpHandler } from './http-handler.js'
import { Routes } from './routes.js'

/** A binary cache, for any server. */
export type NarBridge = HttpHandler

/**
 * Serves a store as a Nix binary cache (spec 08 section 5). The store stays open.
 *
 * @example
 * ```ts
 * const server = await serve(narBridge(store), { listen: '[::1]:9000' })
 * ```
 */
export function narBridge(store: BridgeStore, options: NarBridgeOptions = {}): NarBridge {
  const routes = new Routes(store, options)
  return httpHandler(
    (request) => routes.answer(request),
    options.onError,
    (request) => routes.quick(request),
  )
}
