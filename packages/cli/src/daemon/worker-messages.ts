import type { MetricsSnapshot } from '../http/http-metrics.js'
import type { GcState } from './gc-schedule.js'
import type { DaemonOptions } from './options.js'
import type { ScrubState } from './scrub.js'
import type { ConnectionOrigin, ServedServices } from './store-server.js'

/** What a worker is told. With a connection comes its socket. */
export type ToWorker =
  | { readonly start: WorkerInit }
  | { readonly connection: ConnectionOrigin }
  | { readonly reload: true }
  /** What the process that listens has found out about the store. */
  | { readonly scrub: ScrubState }
  | { readonly gc: GcState }
  /** To be answered with what it has counted, and this number. */
  | { readonly measure: number }
  /** What all workers have counted; undefined where one does not answer. */
  | { readonly measured: readonly MetricsSnapshot[] | undefined }
  /** Milliseconds for calls that run. */
  | { readonly stop: number }

/** What a worker serves. */
export interface WorkerInit {
  readonly options: DaemonOptions
  readonly services: ServedServices
  readonly debug: boolean
}

/** What a worker tells. */
export type FromWorker =
  /** Connections may come. */
  | { readonly ready: true }
  /** Somebody asks what all workers have counted. */
  | { readonly measureAll: true }
  /** What it has counted itself. */
  | { readonly measured: MetricsSnapshot; readonly round: number }
