import type { B3Digest } from '@neve/castore-model'
import { CastoreError } from '../errors.js'

/**
 * Compares what a service says it stored with what was given to it (spec 02 weakness 5).
 *
 * @returns the digest
 * @throws CastoreError `storage` when they differ
 */
export function expectStored(stored: B3Digest, expected: B3Digest, backend: string): B3Digest {
  if (stored.equals(expected)) return stored
  throw new CastoreError('storage', `${backend} stored ${stored}, expected ${expected}`)
}
