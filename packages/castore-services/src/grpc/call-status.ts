import { constants, type IncomingHttpHeaders } from 'node:http2'
import { Status } from 'nice-grpc-common'

/** How a call ended, as the server or the connection says it. */
export interface CallStatus {
  readonly status: Status
  readonly details: string
}

/** What the last headers of an answer say; undefined when they hold no status. */
export function statusOfTrailers(headers: IncomingHttpHeaders): CallStatus | undefined {
  const text = headers['grpc-status']
  if (typeof text !== 'string') return undefined
  const status = /^\d{1,3}$/.test(text) ? Number(text) : Status.UNKNOWN
  const message = headers['grpc-message']
  return { status, details: typeof message === 'string' ? decodedDetails(message) : '' }
}

function decodedDetails(message: string): string {
  try {
    return decodeURIComponent(message)
  } catch {
    return message
  }
}

const HTTP_STATUSES: Readonly<Record<number, Status>> = {
  400: Status.INTERNAL,
  401: Status.UNAUTHENTICATED,
  403: Status.PERMISSION_DENIED,
  404: Status.UNIMPLEMENTED,
  429: Status.UNAVAILABLE,
  502: Status.UNAVAILABLE,
  503: Status.UNAVAILABLE,
  504: Status.UNAVAILABLE,
}

/** What an answer means that has no gRPC status: of a proxy, or of something that does not know gRPC. */
export function statusOfHttp(httpStatus: number): CallStatus {
  const status = HTTP_STATUSES[httpStatus] ?? Status.UNKNOWN
  return { status, details: `received HTTP status code ${httpStatus}` }
}

/** What it means that a stream was reset, or is over without a status. */
export function statusOfReset(code: number | undefined, error: Error | undefined): CallStatus {
  switch (code) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return { status: Status.UNAVAILABLE, details: 'stream refused by server' }
    case constants.NGHTTP2_CANCEL:
      return { status: Status.CANCELLED, details: 'call cancelled' }
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return { status: Status.RESOURCE_EXHAUSTED, details: 'bandwidth exhausted or memory limit exceeded' }
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return { status: Status.PERMISSION_DENIED, details: 'protocol not secure enough' }
    default: {
      const reason = error === undefined ? 'call ended without gRPC status' : error.message
      return { status: Status.INTERNAL, details: `received RST_STREAM with code ${code} (${reason})` }
    }
  }
}
