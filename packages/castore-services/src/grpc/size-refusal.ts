import { CastoreError } from '../errors.js'
import { GrpcStatusError } from './status-error.js'

const WRONG_SIZE = /wrong size, specified (\d+), recorded (\d+)/

/**
 * What the failure of an upload of directories means. A server that counts sizes by the other rule refuses ours with
 * words only (DESIGN decision 2): whoever reads them shall know which option helps.
 */
export function explainUpload(error: unknown): unknown {
  if (!(error instanceof GrpcStatusError)) return error
  const match = WRONG_SIZE.exec(error.details)
  if (match === null) return error
  const [, specified, recorded] = match
  const rule = BigInt(recorded!) > BigInt(specified!) ? 'twice' : 'once'
  return new CastoreError(
    'size',
    `${error.message}; a server that counts the entries of a directory ${rule} takes no other sizes: ` +
      `make the directories with directorySizes: '${rule}' (--directory-sizes ${rule})`,
    { cause: error },
  )
}
