import { Status } from 'nice-grpc-common'
import { CastoreError, type CastoreErrorCode } from '../errors.js'

/** A server's refusal, or that there is none to answer. */
export class GrpcStatusError extends CastoreError {
  override readonly name = 'GrpcStatusError'
  /** The status of the call. */
  readonly status: Status
  /** What the server said, as it came. */
  readonly details: string

  /**
   * @param peer the channel's name
   * @param call the method, for messages: `BlobService/Stat`
   */
  constructor(
    peer: string,
    call: string,
    { status, details, cause }: { status: Status; details: string; cause?: unknown },
  ) {
    super(codeOf(status, details), `${peer}: ${call}: ${shownDetails(status, details)}`, { cause })
    this.status = status
    this.details = details
  }
}

/** The most of a stranger's words to repeat. */
const MAX_SHOWN = 1000

function shownDetails(status: Status, details: string): string {
  const name = Status[status] ?? `status ${status}`
  if (details === '') return name
  return `${name}: ${details.length > MAX_SHOWN ? `${details.slice(0, MAX_SHOWN)}…` : details}`
}

/** Both libraries of the field say it in their own words, and with another status. */
const OVERSIZED = /larger than max|message length too large|length limit/i
/** The connection broke while the call ran. */
const BROKEN = /RST_STREAM|ECONNRESET|EPIPE|h2 protocol error|transport error/

/** What a status means for who called (spec 01 section 9.3, read backwards). */
function codeOf(status: Status, details: string): CastoreErrorCode {
  switch (status) {
    case Status.INVALID_ARGUMENT:
    case Status.FAILED_PRECONDITION:
      return 'invalid-request'
    case Status.NOT_FOUND:
      return 'not-found'
    case Status.DATA_LOSS:
      return 'data-loss'
    case Status.UNIMPLEMENTED:
      return 'unsupported'
    case Status.RESOURCE_EXHAUSTED:
    case Status.OUT_OF_RANGE:
      return OVERSIZED.test(details) || status === Status.OUT_OF_RANGE ? 'too-large' : 'unavailable'
    case Status.UNAVAILABLE:
    case Status.DEADLINE_EXCEEDED:
    case Status.ABORTED:
    case Status.CANCELLED:
      return 'unavailable'
    case Status.INTERNAL:
    case Status.UNKNOWN:
      return BROKEN.test(details) ? 'unavailable' : 'storage'
    default:
      return 'storage'
  }
}

/** Whether a call that had not begun to answer may be made again: nobody was there, or the connection broke. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false
  if (error.code !== 'unavailable') return false
  // Who called did not cancel, or it would be told so: a server that is brought down resets its calls like this.
  const gone = error.status === Status.UNAVAILABLE || error.status === Status.CANCELLED
  return gone || BROKEN.test(error.details)
}
