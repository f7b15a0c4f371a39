import { escapeBytes } from '@neve/castore-model'
import { DataLossError } from '../errors.js'

/** Why a tree could not be written to disk. */
export type ExportPathErrorCode =
  /** Something is at the destination already. */
  | 'destination-exists'
  /** A directory or blob of the tree is not in the store. */
  | 'not-found'
  /** A blob has another length than its node says. */
  | 'wrong-size'
  /** Stored content is damaged. */
  | 'data-loss'
  /** The store could not be read; the cause tells why. */
  | 'read'
  /** The host refused to write. */
  | 'write'

/** A path that could not be written. What was written before it has been removed again, unless the message says otherwise. */
export class ExportPathError extends Error {
  override readonly name = 'ExportPathError'

  /** @param path the host path that could not be written, as raw bytes */
  constructor(
    readonly code: ExportPathErrorCode,
    readonly path: Uint8Array,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
  }
}

/** The error for a host call that failed. */
export function writeError(path: Uint8Array, error: unknown): ExportPathError {
  const shown = escapeBytes(path)
  return new ExportPathError('write', path, `cannot write ${shown}: ${systemReason(error)}`, { cause: error })
}

/** The error for content that the services did not give. */
export function readError(path: Uint8Array, error: unknown): ExportPathError {
  const code = error instanceof DataLossError ? 'data-loss' : 'read'
  const reason = error instanceof Error ? error.message : String(error)
  return new ExportPathError(code, path, `cannot write ${escapeBytes(path)}: ${reason}`, { cause: error })
}

/** `no such file or directory`, where Node writes `ENOENT: no such file or directory, open '…'`. */
export function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return /^E[A-Z0-9]+: (.+?)(?:, [a-z]+(?: '.*)?)?$/s.exec(error.message)?.[1] ?? error.message
}
