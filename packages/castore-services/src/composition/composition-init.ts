import type { CompositionError } from './errors.js'
import type { InstanceState } from './instance.js'
import type { Registry } from './registry.js'

/** What happens when an instance cannot be built. */
export interface RetryPolicy {
  /**
   * Whether a failure may pass by itself. Such a failure is not kept: the next one who asks has the instance built
   * anew. All others stay until `reset`. Default: the cause is a CastoreError `unavailable`.
   */
  readonly isTransient?: ((error: CompositionError) => boolean) | undefined
  /** How often to try, while somebody waits, until a transient failure is reported. Default: 1. */
  readonly attempts?: number | undefined
  /** How long to wait after an attempt, from 1, in milliseconds. Default: 100 ms, doubled each time, at most 5 s, less up to half. */
  readonly delay?: ((attempt: number) => number) | undefined
}

export interface CompositionInit {
  /** What addresses are read with. */
  readonly registry: Registry
  /** Default: see the fields. */
  readonly retry?: RetryPolicy | undefined
  /** Where `{ env = "NAME" }` is looked up. Default: `process.env`, at the time of building. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
  /** Told what went wrong without failing a call. It must not throw. Default: nobody. */
  readonly onTrouble?: ((trouble: ServiceTrouble) => void) | undefined
}

/** Something went wrong with a service that another one could make up for: a cache whose near side fails. */
export interface ServiceTrouble {
  /** Name of the kind. */
  readonly kind: string
  /** Name of the instance that noticed. */
  readonly instance: string
  /** What it calls the service that failed: `near`, `store 2`. */
  readonly store: string
  readonly error: unknown
}

/** An instance, for lists. */
export interface InstanceSummary {
  readonly kind: string
  readonly name: string
  /** Name of the type; undefined where it was made by code that did not say. */
  readonly type: string | undefined
  readonly state: InstanceState
}

/** The pause after an attempt, in milliseconds, with jitter. */
export function defaultDelay(attempt: number): number {
  const full = Math.min(100 * 2 ** (attempt - 1), 5000)
  return full * (0.5 + Math.random() / 2)
}
