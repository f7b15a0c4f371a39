import { compareBytes, equalBytes, latin1, ownBytes } from './bytes.js'
import { SymlinkTargetError, type SymlinkTargetErrorKind } from './errors.js'
import { escapeBytes } from './escape.js'

/** The longest symlink target, in bytes. */
export const MAX_TARGET_LENGTH = 4095

type Fault = Exclude<SymlinkTargetErrorKind, 'Convert'>

/** What is wrong with a target, checked in the order of spec 01 section 4; undefined when nothing is. */
function faultOf(bytes: Uint8Array): Fault | undefined {
  if (bytes.length === 0) return 'Empty'
  if (bytes.length > MAX_TARGET_LENGTH) return 'TooLong'
  return bytes.includes(0) ? 'Null' : undefined
}

let construct: (bytes: Uint8Array) => SymlinkTarget

/** A validated symlink target: bytes, neither normalised nor resolved, immutable (spec 01 section 4). */
export class SymlinkTarget {
  /** The target. Do not modify it. */
  readonly bytes: Uint8Array

  static {
    construct = (bytes) => new SymlinkTarget(bytes)
  }

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** A target with a copy of these bytes, or with the UTF-8 of text. Throws `SymlinkTargetError` of kind `Convert`. */
  static from(target: Uint8Array | string): SymlinkTarget {
    return SymlinkTarget.adopt(ownBytes(target))
  }

  /** As {@link from} without copying: the array belongs to the target from now on. */
  static adopt(bytes: Uint8Array): SymlinkTarget {
    const fault = faultOf(bytes)
    if (fault !== undefined) {
      throw new SymlinkTargetError('Convert', bytes, new SymlinkTargetError(fault, bytes))
    }
    return new SymlinkTarget(bytes)
  }

  /** Throws a `SymlinkTargetError` of one of the three bare kinds when the bytes are no valid target. */
  static validate(bytes: Uint8Array): void {
    const fault = faultOf(bytes)
    if (fault !== undefined) throw new SymlinkTargetError(fault, bytes)
  }

  /** Bytewise order. */
  static compare(a: SymlinkTarget, b: SymlinkTarget): number {
    return compareBytes(a.bytes, b.bytes)
  }

  equals(other: SymlinkTarget): boolean {
    return this === other || equalBytes(this.bytes, other.bytes)
  }

  /** Text that equals another target's exactly when the targets are equal. For `Map` keys, not for people. */
  get key(): string {
    return latin1(this.bytes)
  }

  /** The target for people: escaped, safe to print, not meant to be parsed back. */
  toString(): string {
    return escapeBytes(this.bytes)
  }
}

/** As `SymlinkTarget.adopt`, but undefined where that throws: decoding decides later which error to report. */
export function tryAdoptTarget(bytes: Uint8Array): SymlinkTarget | undefined {
  return faultOf(bytes) === undefined ? construct(bytes) : undefined
}
