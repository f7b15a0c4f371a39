import { CastoreModelError } from '@neve/castore-model'
import { type CallContext, ServerError, Status } from 'nice-grpc-common'
import { CastoreError, type CastoreErrorCode } from '../../errors.js'

const STATUSES: Readonly<Record<CastoreErrorCode, Status>> = {
  'invalid-input': Status.INVALID_ARGUMENT,
  'invalid-request': Status.INVALID_ARGUMENT,
  // NOT_FOUND is for what was asked for; this is something that the service itself misses.
  'not-found': Status.FAILED_PRECONDITION,
  'data-loss': Status.DATA_LOSS,
  storage: Status.INTERNAL,
  closed: Status.UNAVAILABLE,
  empty: Status.INVALID_ARGUMENT,
  order: Status.INVALID_ARGUMENT,
  size: Status.INVALID_ARGUMENT,
  disconnected: Status.INVALID_ARGUMENT,
  incomplete: Status.INVALID_ARGUMENT,
  unsupported: Status.UNIMPLEMENTED,
  unavailable: Status.UNAVAILABLE,
  'too-large': Status.RESOURCE_EXHAUSTED,
  aborted: Status.ABORTED,
}

/** More than this of a message may not fit the header that it travels in. */
const MAX_DETAILS = 2000

/**
 * A failure as a client is told of it. Lone surrogates, which no header can carry, are replaced.
 *
 * @param cause what happened, for the server's own log. Default: nothing more than the client is told
 */
export function serverError(status: Status, details: string, cause?: unknown): ServerError {
  const error = new ServerError(status, Buffer.from(details.slice(0, MAX_DETAILS)).toString())
  if (cause !== undefined) error.cause = cause
  return error
}

/** Told of failures that are not the client's: the method, and what was thrown. */
export type OnServerError = (method: string, error: unknown) => void

/**
 * What to answer when a service failed (spec 01 section 9.3, spec 03 weakness 10, spec 02 weaknesses 25 and 26): the
 * client's mistakes are told apart from damage, and both from a backend that is away.
 */
export function statusOf(
  method: string,
  error: unknown,
  context: CallContext,
  onError: OnServerError,
): unknown {
  // Who cancelled does not wait for an answer.
  if (context.signal.aborted) return serverError(Status.CANCELLED, 'the call was cancelled')
  if (error instanceof ServerError) return error
  if (error instanceof CastoreError) {
    if (error.kind === 'StorageError') onError(method, error)
    return serverError(STATUSES[error.code], error.message, error)
  }
  if (error instanceof CastoreModelError) return serverError(Status.INVALID_ARGUMENT, error.message)
  onError(method, error)
  return serverError(Status.INTERNAL, 'internal error', error)
}
