import { B3Digest } from '@neve/castore-model'
import { CastoreError } from '../errors.js'

/**
 * Compares what a server says it stored with what was sent (spec 02 weakness 22).
 *
 * @throws CastoreError `storage` when it is something else
 */
export function expectStored(peer: string, sent: B3Digest, answer: Uint8Array | null | undefined): void {
  const length = answer?.length ?? 0
  if (length !== B3Digest.LENGTH) {
    throw new CastoreError(
      'storage',
      `${peer}: invalid root digest length ${length} in response, expected ${B3Digest.LENGTH}`,
    )
  }
  const stored = B3Digest.from(answer!)
  if (stored.equals(sent)) return
  throw new CastoreError('storage', `${peer}: got unexpected digest ${stored} in response, expected ${sent}`)
}
