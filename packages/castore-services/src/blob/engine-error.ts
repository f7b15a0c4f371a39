import type { B3Digest } from '@neve/castore-model'
import { DamagedRecordError, type EmbeddedStore, EmbeddedStoreError } from '@neve/embedded-store'
import { CastoreError, DataLossError } from '../errors.js'

/** What an engine threw, as a CastoreError. */
export function engineError(error: unknown, digest: B3Digest | undefined, backend: string): unknown {
  if (error instanceof DamagedRecordError && digest !== undefined) {
    return new DataLossError(digest, backend, error.message, { cause: error })
  }
  if (!(error instanceof EmbeddedStoreError)) return error
  return new CastoreError(error.code === 'closed' ? 'closed' : 'storage', error.message, { cause: error })
}

/**
 * Whether content is stored, and stored soundly: a put that meets damage writes it anew (DESIGN decision 10), and so does
 * one that meets what the garbage collector is about to remove.
 */
export function isSound(engine: EmbeddedStore, key: Uint8Array): boolean {
  if (engine.isCondemned('content', key)) return false
  try {
    return engine.contentReader().readSync(key) !== undefined
  } catch (error) {
    if (error instanceof DamagedRecordError) return false
    throw error
  }
}
