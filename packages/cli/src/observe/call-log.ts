import { B3Digest } from '@neve/castore-model'
import type { CallObserver, ServedCall } from '@neve/castore-services/grpc/server'
import { encodeNixbase32 } from '@neve/nix-compat'
import { describe } from '../messages.js'
import type { LogLevel } from './log-options.js'
import type { Logger } from './logger.js'

/** The names of the status codes of gRPC, by number. */
const NAMES =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  )

/** What goes on all the time, and is no trouble: questions for what is not there, and clients that leave. */
const USUAL = new Set(['CANCELLED', 'NOT_FOUND'])
/** Trouble of the server itself. */
const OURS = new Set(['UNKNOWN', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'])

/**
 * Logs each call that fails, once: what is this server's trouble as an error, what is the client's as a warning, what
 * is usual only at `debug`; and at `trace` those that go well. Of a request only digests are told.
 */
export function callLog(log: Logger): CallObserver {
  return async ({ path, peer }, serve) => {
    const begun = performance.now()
    const served = await serve()
    const code = NAMES[served.code] ?? String(served.code)
    const level = levelOf(code, served)
    if (!log.isLevelEnabled(level)) return served
    const { sent, received, details, cause } = served
    const ms = Math.round((performance.now() - begun) * 1000) / 1000
    const method = path.slice(1)
    const fields = { method, code, peer, ...subjectOf(served.request), ms, received, sent }
    if (code === 'OK') log[level](fields, 'call')
    else log[level]({ ...fields, details, ...reasonOf(cause, details) }, 'call failed')
    return served
  }
}

function levelOf(code: string, { cause }: ServedCall): Exclude<LogLevel, 'silent'> {
  if (code === 'OK') return 'trace'
  // A client that looks for a method under several names finds it under one.
  if (USUAL.has(code) || (code === 'UNIMPLEMENTED' && cause === undefined)) return 'debug'
  return OURS.has(code) ? 'error' : 'warn'
}

/** What the client was not told. */
function reasonOf(cause: unknown, details: string): { error?: string } {
  if (cause === undefined) return {}
  const error = describe(cause)
  return error === details ? {} : { error }
}

/** What a request asks for. */
function subjectOf(request: unknown): { digest?: string; path?: string } {
  if (typeof request !== 'object' || request === null) return {}
  const { digest, by_output_hash: hash } = request as { digest?: unknown; by_output_hash?: unknown }
  if (digest instanceof Uint8Array && digest.length === B3Digest.LENGTH) {
    return { digest: B3Digest.from(digest).toString() }
  }
  return hash instanceof Uint8Array && hash.length === 20 ? { path: encodeNixbase32(hash) } : {}
}
