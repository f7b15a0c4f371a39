import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'
import { Metadata, type ServerError, Status } from 'nice-grpc-common'

/** Headers that belong to the protocol, not to the call. */
const RESERVED = new Set(['te', 'content-type', 'connection', 'user-agent'])
/** No peer takes headers without end: of details that are longer only the beginning is told. */
const MAX_DETAILS_LENGTH = 4096

function isReserved(key: string): boolean {
  return key.startsWith(':') || (key.startsWith('grpc-') && !key.endsWith('-bin')) || RESERVED.has(key)
}

/** What a client said beside its requests. Values under names ending in `-bin` are bytes, in base64 on the wire. */
export function metadataOf(headers: IncomingHttpHeaders): Metadata {
  const metadata = Metadata()
  for (const [key, value] of Object.entries(headers)) {
    if (value === undefined || isReserved(key)) continue
    const values = typeof value === 'string' ? [value] : value
    try {
      if (!key.endsWith('-bin')) metadata.set(key, values.join(', '))
      else for (const text of values.join(',').split(',')) metadata.append(key, Buffer.from(text, 'base64'))
    } catch {
      // A header that metadata cannot hold is nobody's business here.
    }
  }
  return metadata
}

/** Metadata as headers; what belongs to the protocol cannot be said in it. */
export function headersOf(metadata: Metadata): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {}
  for (const [key, values] of metadata) {
    if (isReserved(key)) continue
    headers[key] = values.map((value) =>
      typeof value === 'string' ? value : Buffer.from(value).toString('base64'),
    )
  }
  return headers
}

/** How a call ends, for a client. */
export type FinalStatus = Pick<ServerError, 'code' | 'details'>

export const OK: FinalStatus = { code: Status.OK, details: '' }

/** A status as headers. */
export function statusHeaders({ code, details }: FinalStatus): OutgoingHttpHeaders {
  return details === ''
    ? { 'grpc-status': String(code) }
    : { 'grpc-status': String(code), 'grpc-message': percentEncoded(details) }
}

/** The details of a status: bytes of UTF-8, of which the printable ones but % stand for themselves. */
export function percentEncoded(details: string): string {
  const text = details.slice(0, MAX_DETAILS_LENGTH)
  if (/^[ -$&-~]*$/.test(text)) return text
  let out = ''
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

const UNITS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1 / 1000,
  n: 1 / 1_000_000,
}

/**
 * How long a client gives its call, in milliseconds: the header `grpc-timeout`.
 *
 * @returns undefined when it says nothing, NaN when it says nonsense
 */
export function timeoutOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['grpc-timeout']
  if (text === undefined) return undefined
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(text))
  return match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]!]!
}
