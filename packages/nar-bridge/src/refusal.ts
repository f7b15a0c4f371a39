import { CastoreError } from '@neve/castore-services'
import { ArchiveError } from '@neve/castore-services/ingest/archive'
import { NarError } from '@neve/nar'
import { NarInfoError } from '@neve/nix-compat'
import { StoreError, type StoreErrorCode } from '@neve/store-pathinfo'
import { type Reply, textReply } from './exchange.js'
import { HttpError } from './http-error.js'

const STORE_STATUS: Partial<Record<StoreErrorCode, number>> = {
  'not-found': 404,
  'directory-not-found': 404,
  'blob-not-found': 404,
  'nar-mismatch': 400,
  'invalid-path-info': 400,
  'invalid-name': 400,
  'already-exists': 409,
  'too-large': 413,
  unsupported: 403,
  upstream: 502,
  untrusted: 502,
}

/** The status that tells a client of an error; 500 where it is not the client's. */
function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status
  if (error instanceof StoreError) return STORE_STATUS[error.code] ?? 500
  if (error instanceof NarError || error instanceof NarInfoError) return 400
  if (error instanceof ArchiveError) {
    if (error.code === 'limit') return 413
    return error.code === 'source' ? 500 : 400
  }
  if (error instanceof CastoreError) {
    if (error.code === 'unavailable') return 503
    if (error.code === 'unsupported') return 403
    if (error.code === 'too-large') return 413
  }
  const { code } = error as { readonly code?: unknown }
  return code === 'no-space' || code === 'ENOSPC' ? 507 : 500
}

/**
 * The reply to a request that failed. Of what is the server's own trouble, the client learns only that there is some.
 *
 * @returns the reply, and whether whoever runs the server should hear of it
 */
export function refusal(error: unknown): { readonly reply: Reply; readonly isOurs: boolean } {
  const status = statusOf(error)
  const isOurs = status >= 500
  const told = error instanceof HttpError || !isOurs
  const message = told ? plain((error as Error).message) : 'the server has trouble of its own'
  const headers = {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(error instanceof HttpError ? error.headers : {}),
  }
  return { reply: textReply(`${message}\n`, { status, headers }), isOurs }
}

/** Names from outside may hold what a terminal takes for a command. */
function plain(text: string): string {
  return text.replace(/[\p{C}]+/gu, ' ').slice(0, 1000)
}
