/** The little of protobuf that path infos need: canonical writing, and reading that skips what it does not know. */

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

/** A message taken apart. */
export class MessageReader {
  readonly #bytes = new Map<number, Uint8Array[]>()
  readonly #numbers = new Map<number, bigint>()

  /** @throws Error when the bytes are no message */
  constructor(message: Uint8Array) {
    let at = 0
    const next = (): bigint => {
      let value = 0n
      for (let shift = 0n; shift < 70n; shift += 7n) {
        const byte = message[at++]
        if (byte === undefined) throw new Error(`the message ends inside a number at ${at - 1}`)
        value |= BigInt(byte & 0x7f) << shift
        if (byte < 0x80) {
          if (value > 0xffff_ffff_ffff_ffffn) break
          return value
        }
      }
      throw new Error(`a number before ${at} does not fit 64 bits`)
    }
    const take = (length: bigint): Uint8Array => {
      if (length > BigInt(message.length - at))
        throw new Error(`a field of ${length} bytes at ${at} is cut off`)
      at += Number(length)
      // A copy: a Buffer's own `slice` would be a view of the caller's bytes.
      return new Uint8Array(message.subarray(at - Number(length), at))
    }
    while (at < message.length) {
      const tag = next()
      const field = Number(tag >> 3n)
      const wireType = Number(tag & 7n)
      if (field === 0) throw new Error(`a field at ${at} has number 0`)
      if (wireType === 0) this.#numbers.set(field, next())
      else if (wireType === 1) take(8n)
      else if (wireType === 5) take(4n)
      else if (wireType === 2) {
        const value = take(next())
        const list = this.#bytes.get(field)
        if (list === undefined) this.#bytes.set(field, [value])
        else list.push(value)
      } else throw new Error(`a field at ${at} has wire type ${wireType}`)
    }
  }

  all(field: number): readonly Uint8Array[] {
    return this.#bytes.get(field) ?? []
  }

  last(field: number): Uint8Array | undefined {
    return this.#bytes.get(field)?.at(-1)
  }

  number(field: number): bigint {
    return this.#numbers.get(field) ?? 0n
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let left = value
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  bytes.push(Number(left))
  return new Uint8Array(bytes)
}
