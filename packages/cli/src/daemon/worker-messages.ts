import type { DaemonOptions } from './options.js'
import type { ConnectionOrigin, ServedServices } from './store-server.js'

/** What a worker is told. With a connection comes its socket. */
export type ToWorker =
  | { readonly start: WorkerInit }
  | { readonly connection: ConnectionOrigin }
  | { readonly reload: true }
  /** Milliseconds for calls that run. */
  | { readonly stop: number }

/** What a worker serves. */
export interface WorkerInit {
  readonly options: DaemonOptions
  readonly services: ServedServices
  readonly debug: boolean
}

/** What a worker tells: connections may come. */
export interface FromWorker {
  readonly ready: true
}
