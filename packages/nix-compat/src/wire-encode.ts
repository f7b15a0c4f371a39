import { WireError } from './wire-error.js'

const U64_MAX = 0xffff_ffff_ffff_ffffn
const utf8 = new TextEncoder()

/** Number of zero bytes (0..7) that follow a payload of `length` bytes, for any u64 (spec 09 section 2). */
export function padLength(length: bigint | number): number {
  return typeof length === 'bigint' ? Number(-length & 7n) : (8 - (length % 8)) % 8
}

/** Writes `value` at `offset` as 8 little-endian bytes. `invalid-input` if it is no u64. */
export function putU64(target: Uint8Array, offset: number, value: bigint): void {
  if (value < 0n || value > U64_MAX) {
    throw new WireError('invalid-input', 'number out of range', {
      expected: `0..${U64_MAX}`,
      actual: `${value}`,
    })
  }
  const small = value <= 0xffff_ffffn
  putU32(target, offset, Number(small ? value : value & 0xffff_ffffn))
  putU32(target, offset + 4, small ? 0 : Number(value >> 32n))
}

function putU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value
  target[offset + 1] = value >>> 8
  target[offset + 2] = value >>> 16
  target[offset + 3] = value >>> 24
}

/** The u64 at `offset`; the caller guarantees that 8 bytes are there. */
export function getU64(bytes: Uint8Array, offset: number): bigint {
  const low = getU32(bytes, offset)
  const high = getU32(bytes, offset + 4)
  return high === 0 ? BigInt(low) : BigInt(low) | (BigInt(high) << 32n)
}

function getU32(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>>
    0
  )
}

/**
 * Collects wire primitives in one growing buffer (spec 09 section 2). Every method returns the encoder, so calls
 * can be chained; arguments are copied at once.
 */
export class WireEncoder {
  #buffer: Uint8Array
  #length = 0

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity)
  }

  /** Bytes collected so far. */
  get length(): number {
    return this.#length
  }

  /** 8 bytes, little-endian. `invalid-input` outside 0..2^64-1. */
  u64(value: bigint): this {
    this.#reserve(8)
    putU64(this.#buffer, this.#length, value)
    this.#length += 8
    return this
  }

  /** A u64 that is 0 or 1. */
  bool(value: boolean): this {
    return this.u64(value ? 1n : 0n)
  }

  /** Length, payload, zero padding. */
  bytes(payload: Uint8Array): this {
    const padding = padLength(payload.length)
    this.u64(BigInt(payload.length)).raw(payload).#reserve(padding)
    this.#length += padding
    return this
  }

  /** `bytes` of the UTF-8 form. */
  string(text: string): this {
    return this.bytes(utf8.encode(text))
  }

  /** A u64 count, then each item as `encode` writes it. For a map pass its entries and write key and value. */
  list<T>(items: readonly T[], encode: (encoder: this, item: T) => void): this {
    this.u64(BigInt(items.length))
    for (const item of items) encode(this, item)
    return this
  }

  /** Bytes as they are: no length, no padding. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** What was collected, as a copy; the encoder goes on unchanged. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
  }
}

/** 8 bytes, little-endian (spec 09 section 2). `invalid-input` outside 0..2^64-1. */
export function encodeU64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  putU64(bytes, 0, value)
  return bytes
}

/** A u64 that is 0 or 1 (spec 09 section 2). */
export function encodeBool(value: boolean): Uint8Array {
  return encodeU64(value ? 1n : 0n)
}

/** Length, payload, zero padding in one new buffer (spec 09 section 2.2). */
export function encodeBytes(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length + padLength(payload.length))
  putU64(bytes, 0, BigInt(payload.length))
  bytes.set(payload, 8)
  return bytes
}

/** `encodeBytes` of the UTF-8 form (spec 09 section 2). */
export function encodeString(text: string): Uint8Array {
  return encodeBytes(utf8.encode(text))
}

/** A u64 count, then the encoded items one after another (spec 09 section 2). */
export function encodeList<T>(
  items: readonly T[],
  encode: (encoder: WireEncoder, item: T) => void,
): Uint8Array {
  return new WireEncoder().list(items, encode).finish()
}
