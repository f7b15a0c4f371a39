/** Canonical protobuf, by hand: an oracle for the generated code, and a way to messages that it would not write. */

/** Writes a message field by field, in ascending order of their numbers. */
export class MessageWriter {
  readonly #parts: Uint8Array[] = []

  /** A varint field; zero is left out. */
  number(field: number, value: bigint): this {
    if (value !== 0n) this.#parts.push(varint(BigInt(field) << 3n), varint(value))
    return this
  }

  /** A length-delimited field; an empty one is left out unless `always`. */
  bytes(field: number, value: Uint8Array, always = false): this {
    if (value.length > 0 || always) {
      this.#parts.push(varint((BigInt(field) << 3n) | 2n), varint(BigInt(value.length)), value)
    }
    return this
  }

  text(field: number, value: string, always = false): this {
    return this.bytes(field, new TextEncoder().encode(value), always)
  }

  finish(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts))
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let left = value
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  bytes.push(Number(left))
  return new Uint8Array(bytes)
}
