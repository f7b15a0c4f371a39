import { compareBytes, equalBytes, latin1, ownBytes } from './bytes.js'
import { PathComponentError, type PathComponentErrorKind } from './errors.js'
import { escapeBytes } from './escape.js'

/** The longest name, in bytes. */
export const MAX_NAME_LENGTH = 255

const DOT = 0x2e
const SLASH = 0x2f

type Fault = Exclude<PathComponentErrorKind, 'Convert'>

/** What is wrong with a name, checked in the order of spec 01 section 3; undefined when nothing is. */
function faultOf(bytes: Uint8Array): Fault | undefined {
  const length = bytes.length
  if (length === 0) return 'Empty'
  if (bytes[0] === DOT) {
    if (length === 2 && bytes[1] === DOT) return 'Parent'
    if (length === 1) return 'CurDir'
  }
  if (length > MAX_NAME_LENGTH) return 'TooLong'
  let slashes = false
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!
    if (byte === 0) return 'Null'
    if (byte === SLASH) slashes = true
  }
  return slashes ? 'Slashes' : undefined
}

let construct: (bytes: Uint8Array) => PathComponent

/** A validated name of a directory entry: bytes, no encoding assumed, immutable (spec 01 section 3). */
export class PathComponent {
  /** The name. Do not modify it. */
  readonly bytes: Uint8Array
  #key: string | undefined

  static {
    construct = (bytes) => new PathComponent(bytes)
  }

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /**
   * A name with a copy of these bytes, or with the UTF-8 of text. Throws `PathComponentError` of kind `Convert`.
   */
  static from(name: Uint8Array | string): PathComponent {
    return PathComponent.adopt(ownBytes(name))
  }

  /** As {@link from} without copying: the array belongs to the name from now on. */
  static adopt(bytes: Uint8Array): PathComponent {
    const fault = faultOf(bytes)
    if (fault !== undefined) {
      throw new PathComponentError('Convert', bytes, new PathComponentError(fault, bytes))
    }
    return new PathComponent(bytes)
  }

  /** Throws a `PathComponentError` of one of the six bare kinds when the bytes are no valid name. */
  static validate(bytes: Uint8Array): void {
    const fault = faultOf(bytes)
    if (fault !== undefined) throw new PathComponentError(fault, bytes)
  }

  /** Bytewise order, in which directories list their entries. */
  static compare(a: PathComponent, b: PathComponent): number {
    return compareBytes(a.bytes, b.bytes)
  }

  equals(other: PathComponent): boolean {
    return this === other || equalBytes(this.bytes, other.bytes)
  }

  /** Text that equals another name's exactly when the names are equal. For `Map` keys, not for people. */
  get key(): string {
    this.#key ??= latin1(this.bytes)
    return this.#key
  }

  /** The name for people: escaped, safe to print, not meant to be parsed back. */
  toString(): string {
    return escapeBytes(this.bytes)
  }
}

/** As `PathComponent.adopt`, but undefined where that throws: decoding decides later which error to report. */
export function tryAdoptComponent(bytes: Uint8Array): PathComponent | undefined {
  return faultOf(bytes) === undefined ? construct(bytes) : undefined
}
