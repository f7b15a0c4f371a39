import { B3Digest } from '@neve/castore-model'
import { Status } from 'nice-grpc-common'
import { serverError } from './status.js'

/** The digest of a request. Throws INVALID_ARGUMENT for one of a wrong length, or none. */
export function requestedDigest(bytes: Uint8Array | null | undefined): B3Digest {
  if (bytes?.length !== B3Digest.LENGTH) throw serverError(Status.INVALID_ARGUMENT, 'invalid digest length')
  return B3Digest.from(bytes)
}
