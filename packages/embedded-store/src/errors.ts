/** What went wrong, for a program to branch on. */
export type EmbeddedStoreErrorCode =
  /** Stored bytes are not what was written: flipped, cut, or missing. */
  | 'damaged'
  /** The store was written by a newer version of Neve. */
  | 'newer-version'
  /** The folder holds something, but not a store; or holds nothing, and none was to be made. */
  | 'not-a-store'
  /** The file system has no space left. */
  | 'no-space'
  /** The folder or a file in it may not be read or written. */
  | 'no-permission'
  /** Another process has the store open, or is making its tables anew. */
  | 'busy'
  /** An entry was to be changed only as it was known, and is another one by now. */
  | 'conflict'
  /** The store was closed. */
  | 'closed'
  /** A key, value or option is outside what the format can hold. */
  | 'invalid-input'
  /** Any other failure of the file system or of LMDB. */
  | 'io'

/** The error class of this package. `cause` holds the error below it, where there is one. */
export class EmbeddedStoreError extends Error {
  override readonly name: string = 'EmbeddedStoreError'
  readonly code: EmbeddedStoreErrorCode

  constructor(code: EmbeddedStoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** A stored record that cannot be read back as it was written. */
export class DamagedRecordError extends EmbeddedStoreError {
  override readonly name = 'DamagedRecordError'
  /** The key of the record, lower-case hex. */
  readonly key: string
  /** The segment file that holds it. */
  readonly segment: string
  /** Offset of the record in the segment, in bytes. */
  readonly offset: number

  constructor(key: string, segment: string, offset: number, reason: string) {
    super('damaged', `record ${key} at offset ${offset} of segment ${segment} is damaged: ${reason}`)
    this.key = key
    this.segment = segment
    this.offset = offset
  }
}

/** A key as error messages show it. */
export function keyHex(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('hex')
}

/** Wraps whatever the file system or LMDB threw; errors of this package pass unchanged. */
export function wrapError(error: unknown, doing: string): EmbeddedStoreError {
  if (error instanceof EmbeddedStoreError) return error
  const text = error instanceof Error ? error.message : String(error)
  const errno = error instanceof Error && 'code' in error ? String(error.code) : ''
  return new EmbeddedStoreError(codeOf(errno, text), `cannot ${doing}: ${text}`, { cause: error })
}

// LMDB gives its own numbers (see lmdb.h), or those of errno, where Node gives names.
function codeOf(errno: string, text: string): EmbeddedStoreErrorCode {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case '28':
    case '122':
      return 'no-space'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case '13':
    case '30':
      return 'no-permission'
    case '-30793':
    case '-30794':
    case '-30796':
    case '-30797':
      return 'damaged'
    default:
      return /no space left|disk quota/i.test(text) ? 'no-space' : 'io'
  }
}
