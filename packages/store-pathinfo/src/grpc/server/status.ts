import { type OnServerError, serverError, statusOf } from '@neve/castore-services/grpc/server'
import { type CallContext, Status } from 'nice-grpc-common'
import { StoreError, type StoreErrorCode } from '../../errors.js'

/** What is not here is the server's own trouble: INTERNAL. */
const STATUSES: { readonly [Code in StoreErrorCode]?: Status } = {
  'invalid-name': Status.INVALID_ARGUMENT,
  'invalid-address': Status.INVALID_ARGUMENT,
  'invalid-input': Status.INVALID_ARGUMENT,
  'invalid-path-info': Status.INVALID_ARGUMENT,
  'not-found': Status.NOT_FOUND,
  'directory-not-found': Status.NOT_FOUND,
  'blob-not-found': Status.NOT_FOUND,
  'already-exists': Status.ALREADY_EXISTS,
  'contents-missing': Status.FAILED_PRECONDITION,
  unsupported: Status.UNIMPLEMENTED,
  'data-loss': Status.DATA_LOSS,
}

/** What to answer when a service failed (spec 07 section 7, with the codes that section 15 asks for). */
export function storeStatusOf(
  method: string,
  error: unknown,
  context: CallContext,
  onError: OnServerError,
): unknown {
  if (context.signal.aborted || !(error instanceof StoreError))
    return statusOf(method, error, context, onError)
  const status = STATUSES[error.code] ?? Status.INTERNAL
  if (status === Status.INTERNAL || status === Status.DATA_LOSS) onError(method, error)
  return serverError(status, error.message, error)
}
