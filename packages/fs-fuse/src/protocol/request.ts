import { Errno, FilesystemError } from '../errno.js'
import { IN_HEADER } from './constants.js'

/** 2^32: a number of 64 bits comes in two halves. */
const HIGH = 2 ** 32

/**
 * One request of the kernel (spec 05 sections 11.3 and 11.5): its header, and the fields of its body by their places. Every
 * access is checked: a body that is too short is EINVAL. It is a view of the message, good for as long as that is.
 */
export class FuseRequest {
  readonly opcode: number
  readonly uniqueLow: number
  readonly uniqueHigh: number
  /** The number of the node; -1 for one that no node of ours can have. */
  readonly node: number
  readonly #message: Buffer

  private constructor(message: Buffer) {
    this.#message = message
    this.opcode = message.readUInt32LE(4)
    this.uniqueLow = message.readUInt32LE(8)
    this.uniqueHigh = message.readUInt32LE(12)
    this.node = safe(message.readUInt32LE(16), message.readUInt32LE(20)) ?? -1
  }

  /**
   * @param message one whole message, not copied
   * @returns undefined when not even the header is there, so that there is nobody to answer
   */
  static parse(message: Uint8Array): FuseRequest | undefined {
    if (message.length < IN_HEADER) return undefined
    return new FuseRequest(Buffer.from(message.buffer, message.byteOffset, message.length))
  }

  /** Which request this is. Exact: the kernel counts from 0 in steps of 2. */
  get unique(): number {
    return this.uniqueHigh * HIGH + this.uniqueLow
  }

  /** Whether the message is as long as it says. */
  get isWhole(): boolean {
    return this.#message.readUInt32LE(0) === this.#message.length
  }

  get bodyLength(): number {
    return this.#message.length - IN_HEADER
  }

  /** @param at the place of a field in the body, in bytes */
  u32(at: number): number {
    this.#expect(at + 4)
    return this.#message.readUInt32LE(IN_HEADER + at)
  }

  /**
   * A field of 64 bits.
   *
   * @throws FilesystemError EINVAL when it is 2^53 or more
   */
  u64(at: number): number {
    const value = safe(this.u32(at), this.u32(at + 4))
    if (value === undefined) throw new FilesystemError(Errno.EINVAL)
    return value
  }

  /** A field of 64 bits, and as many bits of it as fit where it has more. */
  u64Clamped(at: number): number {
    return safe(this.u32(at), this.u32(at + 4)) ?? Number.MAX_SAFE_INTEGER
  }

  /** The name that ends the body, without the NUL behind it. A view. */
  name(at: number): Uint8Array {
    const from = IN_HEADER + at
    const end = from > this.#message.length ? -1 : this.#message.indexOf(0, from)
    if (end < 0 || end !== this.#message.length - 1) throw new FilesystemError(Errno.EINVAL)
    return this.#message.subarray(from, end)
  }

  #expect(end: number): void {
    if (end > this.bodyLength) throw new FilesystemError(Errno.EINVAL)
  }
}

function safe(low: number, high: number): number | undefined {
  return high < 0x200000 ? high * HIGH + low : undefined
}
