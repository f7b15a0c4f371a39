import type { CallOptions } from '../call-options.js'
import { CastoreError, type CastoreErrorCode } from '../errors.js'

const TROUBLE: ReadonlySet<CastoreErrorCode> = new Set(['data-loss', 'storage', 'unavailable'])

/**
 * Whether an error is trouble of the service that was asked, so that another one may have a better answer: what is
 * stored there is damaged, its backend failed or cannot be reached. A mistake of the caller, a limit or a cancelled
 * call would be the same with every service.
 */
export function isTrouble(error: unknown, { signal }: CallOptions = {}): error is CastoreError {
  return !signal?.aborted && error instanceof CastoreError && TROUBLE.has(error.code)
}

/** Gets to know what went wrong without failing a call. It must not throw. */
export type OnTrouble = (trouble: { readonly store: string; readonly error: unknown }) => void
