/**
 * What went wrong, as a stable string (spec 09 section 1). An error that an underlying stream raised is not in
 * this list: it passes through unchanged.
 */
export type WireErrorCode =
  | 'invalid-data'
  | 'unexpected-eof'
  | 'invalid-input'
  | 'unsupported'
  | 'write-zero'
  | 'unclean-shutdown'
  | 'misuse'
  | 'not-found'

export interface WireErrorDetails {
  /** Position in the stream, in bytes, at which the trouble was seen. */
  offset?: bigint | undefined
  /** What the format or the contract asks for. */
  expected?: string | undefined
  /** What was there instead. */
  actual?: string | undefined
  /** The file concerned, as text for people, where a file is concerned. */
  path?: string | undefined
  cause?: unknown
}

/** A failure of the wire formats: primitives, packets, and (as a subclass) archives. Tell kinds apart by `code`. */
export class WireError extends Error {
  override name = 'WireError'
  readonly code: WireErrorCode
  readonly offset: bigint | undefined
  readonly expected: string | undefined
  readonly actual: string | undefined
  readonly path: string | undefined

  /** The message is made of `what`, then expected and actual, then the offset, as far as they are given. */
  constructor(code: WireErrorCode, what: string, details: WireErrorDetails = {}) {
    super(describe(what, details), details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.offset = details.offset
    this.expected = details.expected
    this.actual = details.actual
    this.path = details.path
  }
}

function describe(what: string, { offset, expected, actual, path }: WireErrorDetails): string {
  let text = path === undefined ? what : `${path}: ${what}`
  if (expected !== undefined) text += `: expected ${expected}`
  if (actual !== undefined) text += `${expected === undefined ? ':' : ','} got ${actual}`
  if (offset !== undefined) text += ` (at byte ${offset})`
  return text
}

/** Bytes as text for an error message: quoted where printable ASCII, else hex; cut after 32 bytes. */
export function showBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'nothing'
  const shown = bytes.subarray(0, 32)
  const more = bytes.length > shown.length ? `… (${bytes.length} bytes)` : ''
  if (shown.every((byte) => byte >= 0x20 && byte < 0x7f)) {
    return `${JSON.stringify(String.fromCharCode(...shown))}${more}`
  }
  return `0x${Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join('')}${more}`
}
