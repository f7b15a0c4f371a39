import { escapeBytes } from './escape.js'

/** Base of every error that this package throws: `code` is stable, the message is for people. */
export abstract class CastoreModelError extends Error {
  /** Stable, machine readable kind of the failure. */
  abstract readonly code: string

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
  }
}

/** Bytes given as a digest are not 32 bytes long (spec 01 section 2). */
export class InvalidDigestLengthError extends CastoreModelError {
  readonly code = 'INVALID_DIGEST_LENGTH'
  readonly expected = 32

  constructor(readonly actual: number) {
    super(`invalid digest length: ${actual}`)
  }
}

/** Text that is none of the accepted forms of a digest. */
export class InvalidDigestTextError extends CastoreModelError {
  readonly code = 'INVALID_DIGEST_TEXT'

  constructor(
    readonly text: string,
    readonly reason: string,
  ) {
    const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text
    super(
      `invalid digest ${JSON.stringify(shown)}: ${reason}; ` +
        "expected 'b3:' or 'blake3-' and 44 characters of base64, or 64 of hex",
    )
  }
}

/** A hasher was used after its digest had been taken. */
export class HasherFinishedError extends CastoreModelError {
  readonly code = 'HASHER_FINISHED'

  constructor() {
    super('the digest of this hasher was taken already; expected one digest call, at the end')
  }
}

export type PathComponentErrorKind =
  | 'Empty'
  | 'Null'
  | 'CurDir'
  | 'Parent'
  | 'Slashes'
  | 'TooLong'
  | 'Convert'

const COMPONENT_TEXT = {
  Empty: 'cannot be empty',
  Parent: "cannot be '..'",
  CurDir: "cannot be '.'",
  TooLong: 'cannot be over 255 bytes long',
  Null: 'cannot contain null bytes',
  Slashes: 'cannot contain slashes',
} as const

/**
 * Bytes that are no valid name (spec 01 section 3). Constructors throw kind `Convert`, which carries the bytes and has one of the
 * six bare kinds as its `cause`; bare kinds come from `PathComponent.validate` only.
 */
export class PathComponentError extends CastoreModelError {
  readonly code = 'INVALID_PATH_COMPONENT'
  declare readonly cause: PathComponentError | undefined

  constructor(
    readonly kind: PathComponentErrorKind,
    readonly bytes: Uint8Array,
    cause?: PathComponentError,
  ) {
    super(
      kind === 'Convert' ? `unable to convert '"${escapeBytes(bytes)}"'` : COMPONENT_TEXT[kind],
      cause === undefined ? undefined : { cause },
    )
  }

  /** The bare kind, whether this is a `Convert` or not. */
  get reason(): Exclude<PathComponentErrorKind, 'Convert'> {
    return (this.cause?.kind ?? this.kind) as Exclude<PathComponentErrorKind, 'Convert'>
  }
}

export type SymlinkTargetErrorKind = 'Empty' | 'Null' | 'TooLong' | 'Convert'

const TARGET_TEXT = {
  Empty: 'cannot be empty',
  TooLong: 'cannot be over 4095 bytes long',
  Null: 'cannot contain null bytes',
} as const

/** Bytes that are no valid symlink target (spec 01 section 4); kinds as in {@link PathComponentError}. */
export class SymlinkTargetError extends CastoreModelError {
  readonly code = 'INVALID_SYMLINK_TARGET'
  declare readonly cause: SymlinkTargetError | undefined

  constructor(
    readonly kind: SymlinkTargetErrorKind,
    readonly bytes: Uint8Array,
    cause?: SymlinkTargetError,
  ) {
    super(
      kind === 'Convert' ? `unable to convert '"${escapeBytes(bytes)}"'` : TARGET_TEXT[kind],
      cause === undefined ? undefined : { cause },
    )
  }

  /** The bare kind, whether this is a `Convert` or not. */
  get reason(): Exclude<SymlinkTargetErrorKind, 'Convert'> {
    return (this.cause?.kind ?? this.kind) as Exclude<SymlinkTargetErrorKind, 'Convert'>
  }
}

/**
 * - `InvalidComponent`: a piece is no valid name, `cause` says why;
 * - `Absolute`: a host path starts with `/`;
 * - `DotDot`: a host path has `..` and canonicalising it was not asked for;
 * - `AboveRoot`: `..` leads above where the host path starts.
 */
export type PathErrorKind = 'InvalidComponent' | 'Absolute' | 'DotDot' | 'AboveRoot'

const PATH_TEXT = {
  InvalidComponent: 'invalid component',
  Absolute: 'found disallowed prefix or rootdir, expected a relative path',
  DotDot: "found disallowed '..'",
  AboveRoot: "found '..' going too far up",
} as const

/** Bytes that are no valid path (spec 01 section 5, weakness 8); `index` counts the `/`-separated pieces of the input from 0. */
export class PathError extends CastoreModelError {
  readonly code = 'INVALID_PATH'
  declare readonly cause: PathComponentError | undefined

  constructor(
    readonly kind: PathErrorKind,
    readonly path: Uint8Array,
    readonly index: number,
    cause?: PathComponentError,
  ) {
    const why = cause === undefined ? '' : `: ${COMPONENT_TEXT[cause.reason]}`
    super(
      `invalid path "${escapeBytes(path)}": ${PATH_TEXT[kind]} at component ${index}${why}`,
      cause === undefined ? undefined : { cause },
    )
  }
}

/** Bytes that are no protobuf message of the expected shape: cut short, an impossible tag, a varint over 64 bits. */
export class MalformedMessageError extends CastoreModelError {
  readonly code = 'MALFORMED_MESSAGE'

  constructor(
    readonly messageType: string,
    readonly offset: number,
    readonly reason: string,
  ) {
    super(`malformed ${messageType} message at byte ${offset}: ${reason}`)
  }
}

/** A size outside 0 … 2^64−1, where a file, a directory or a chunk needs one. */
export class InvalidSizeError extends CastoreModelError {
  readonly code = 'INVALID_SIZE'

  constructor(readonly actual: unknown) {
    super(
      `invalid size: expected a bigint from 0 to 18446744073709551615, got ${typeof actual} ${String(actual)}`,
    )
  }
}
