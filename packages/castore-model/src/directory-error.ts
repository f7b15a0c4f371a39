import {
  CastoreModelError,
  type InvalidDigestLengthError,
  type PathComponentError,
  type SymlinkTargetError,
} from './errors.js'
import { escapeBytes } from './escape.js'

/** What makes a wire node invalid apart from its name (spec 01 section 9.1). */
export class ValidateNodeError extends CastoreModelError {
  readonly code = 'INVALID_NODE'
  readonly kind: 'InvalidDigestLen' | 'InvalidSymlinkTarget'
  declare readonly cause: InvalidDigestLengthError | SymlinkTargetError

  constructor(cause: InvalidDigestLengthError | SymlinkTargetError) {
    super(
      cause.code === 'INVALID_DIGEST_LENGTH' ? cause.message : `invalid symlink target: ${cause.message}`,
      { cause },
    )
    this.kind = cause.code === 'INVALID_DIGEST_LENGTH' ? 'InvalidDigestLen' : 'InvalidSymlinkTarget'
  }
}

/** The three lists of a `Directory` message. */
export type DirectoryList = 'directories' | 'files' | 'symlinks'

const CODES = {
  DuplicateName: 'DIRECTORY_DUPLICATE_NAME',
  InvalidNode: 'DIRECTORY_INVALID_NODE',
  SizeOverflow: 'DIRECTORY_SIZE_OVERFLOW',
  InvalidName: 'DIRECTORY_INVALID_NAME',
  WrongSorting: 'DIRECTORY_WRONG_SORTING',
  NoNodeSet: 'NO_NODE_SET',
  NameInAnonymousNode: 'NAME_IN_ANONYMOUS_NODE',
  NonCanonical: 'DIRECTORY_NON_CANONICAL',
  TooLarge: 'DIRECTORY_TOO_LARGE',
} as const

/**
 * The kinds of spec 01 section 9.1, and: `NameInAnonymousNode` (a name where there must be none), `NonCanonical` (valid, but not the one
 * encoding that its digest is taken of), `TooLarge` (over the stated maximum of encoded bytes).
 */
export type DirectoryErrorKind = keyof typeof CODES

export interface DirectoryErrorDetail {
  /** The name concerned, raw and possibly invalid. */
  readonly entryName?: Uint8Array | undefined
  /** The list of the message in which the entry stands; only when a message was read. */
  readonly list?: DirectoryList | undefined
  /** The entry's place in that list, from 0. */
  readonly index?: number | undefined
  /** For `TooLarge`: bytes there are, and bytes there may be. */
  readonly actual?: number | undefined
  readonly expected?: number | undefined
  readonly cause?: PathComponentError | ValidateNodeError | undefined
}

function describe(kind: DirectoryErrorKind, detail: DirectoryErrorDetail): string {
  const name = detail.entryName === undefined ? '' : escapeBytes(detail.entryName)
  switch (kind) {
    case 'DuplicateName':
      return `"${name}" is a duplicate name`
    case 'InvalidNode':
      return `invalid node with name ${name}: "${detail.cause?.message}"`
    case 'SizeOverflow':
      return 'total size exceeds u64::MAX'
    case 'InvalidName':
      return `invalid name: ${detail.cause?.message}: ${detail.cause?.cause instanceof Error ? detail.cause.cause.message : ''}`
    case 'WrongSorting':
      return `"${name}" is not sorted`
    case 'NoNodeSet':
      return 'no node set'
    case 'NameInAnonymousNode':
      return `expected a node without a name, got one named "${name}"`
    case 'NonCanonical':
      return 'not the canonical encoding of the directory, whose digest would be another'
    case 'TooLarge':
      return `directory of ${detail.actual} encoded bytes, expected at most ${detail.expected}`
  }
}

/** A directory or a node that is refused (spec 01 sections 6.2, 8.2, 8.3 and 9.1). */
export class DirectoryError extends CastoreModelError {
  readonly code: (typeof CODES)[DirectoryErrorKind]
  readonly entryName: Uint8Array | undefined
  readonly list: DirectoryList | undefined
  readonly index: number | undefined
  readonly actual: number | undefined
  readonly expected: number | undefined
  declare readonly cause: PathComponentError | ValidateNodeError | undefined

  constructor(
    readonly kind: DirectoryErrorKind,
    detail: DirectoryErrorDetail = {},
  ) {
    super(describe(kind, detail), detail.cause === undefined ? undefined : { cause: detail.cause })
    this.code = CODES[kind]
    this.entryName = detail.entryName
    this.list = detail.list
    this.index = detail.index
    this.actual = detail.actual
    this.expected = detail.expected
  }
}
