import { MalformedMessageError } from './errors.js'

const MAX_GROUP_DEPTH = 100

/**
 * A lenient proto3 reader: over-long varints and unknown fields of any kind are taken, as any protobuf library does. Only what no
 * library could read throws `MalformedMessageError`.
 */
export class WireReader {
  #at: number
  readonly #end: number

  constructor(
    readonly bytes: Uint8Array,
    readonly messageType: string,
    start = 0,
    end = bytes.length,
  ) {
    this.#at = start
    this.#end = end
  }

  get done(): boolean {
    return this.#at >= this.#end
  }

  fail(reason: string): MalformedMessageError {
    return new MalformedMessageError(this.messageType, this.#at, reason)
  }

  /** A varint of up to 64 bits. */
  u64(): bigint {
    let value = 0
    let scale = 1
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return BigInt(value)
      scale *= 128
    }
    let big = BigInt(value)
    for (let i = 7; i < 10; i++) {
      const byte = this.#byte()
      if (i === 9 && byte > 1) throw this.fail('varint over 64 bits')
      big += BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return big
    }
    throw this.fail('varint over 64 bits')
  }

  #byte(): number {
    if (this.#at >= this.#end) throw this.fail('ends inside a varint')
    return this.bytes[this.#at++]!
  }

  /** The next field's number and wire type. */
  tag(): { field: number; type: number } {
    const tag = this.u64()
    if (tag > 0xffff_ffffn) throw this.fail(`tag ${tag} over 32 bits`)
    const number = Number(tag)
    if (number < 8) throw this.fail('field number 0')
    return { field: Math.floor(number / 8), type: number % 8 }
  }

  /** A view of a length-delimited field. */
  slice(): Uint8Array {
    const { start, end } = this.#range()
    return this.bytes.subarray(start, end)
  }

  /** A reader of an embedded message. */
  message(messageType: string): WireReader {
    const { start, end } = this.#range()
    return new WireReader(this.bytes, messageType, start, end)
  }

  #range(): { start: number; end: number } {
    const length = this.u64()
    if (length > BigInt(this.#end - this.#at)) {
      throw this.fail(`field of ${length} bytes, ${this.#end - this.#at} left`)
    }
    const start = this.#at
    this.#at += Number(length)
    return { start, end: this.#at }
  }

  /** Throws unless a known field has the wire type it is defined with. */
  expect(field: number, type: number, expected: number): void {
    if (type !== expected) throw this.fail(`field ${field} of wire type ${type}, expected ${expected}`)
  }

  /** Passes over an unknown field. */
  skip(field: number, type: number, depth = 0): void {
    if (type === 0) this.u64()
    else if (type === 1) this.#advance(8)
    else if (type === 2) this.#range()
    else if (type === 5) this.#advance(4)
    else if (type === 3 && depth < MAX_GROUP_DEPTH) this.#skipGroup(field, depth + 1)
    else throw this.fail(`field ${field} of wire type ${type}`)
  }

  #advance(count: number): void {
    if (count > this.#end - this.#at) throw this.fail(`field of ${count} bytes, ${this.#end - this.#at} left`)
    this.#at += count
  }

  #skipGroup(group: number, depth: number): void {
    for (;;) {
      const { field, type } = this.tag()
      if (type === 4) {
        if (field !== group) throw this.fail(`group ${group} closed as ${field}`)
        return
      }
      this.skip(field, type, depth)
    }
  }
}
