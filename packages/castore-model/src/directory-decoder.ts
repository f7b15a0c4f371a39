import { B3Digest } from './b3-digest.js'
import { compareBytes } from './bytes.js'
import type { DirectoryEntry } from './directory.js'
import type { Node } from './node.js'
import { DIRECTORY_TAG, FILE_TAG, SYMLINK_TAG } from './node-encoding.js'
import { tryAdoptComponent } from './path-component.js'
import { tryAdoptTarget } from './symlink-target.js'

/**
 * Reads exactly the canonical encoding (spec 01 section 6.4) in one pass; anything else gives undefined, and the caller finds out
 * from the lenient parser what is wrong. Names, digests and targets of the result are views into the given bytes.
 */
class CanonicalDecoder {
  readonly #bytes: Uint8Array
  readonly #buffer: ArrayBufferLike
  readonly #base: number
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#buffer = bytes.buffer
    this.#base = bytes.byteOffset
  }

  /** One list, in strictly ascending order of names; stops at another tag. */
  list(tag: number): DirectoryEntry[] | undefined {
    const bytes = this.#bytes
    const entries: DirectoryEntry[] = []
    let previous: Uint8Array | undefined
    while (this.#at < bytes.length && bytes[this.#at] === tag) {
      this.#at++
      const length = this.#varint()
      const end = this.#at + length
      if (length < 0 || end > bytes.length) return undefined
      const entry = this.#entry(tag, end)
      if (entry === undefined || this.#at !== end) return undefined
      if (previous !== undefined && compareBytes(previous, entry.name.bytes) >= 0) return undefined
      previous = entry.name.bytes
      entries.push(entry)
    }
    return entries
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  #entry(tag: number, end: number): DirectoryEntry | undefined {
    const nameBytes = this.#field(0x0a, end)
    const name = nameBytes === undefined ? undefined : tryAdoptComponent(nameBytes)
    if (name === undefined) return undefined
    const node = tag === SYMLINK_TAG ? this.#symlink(end) : this.#content(tag, end)
    return node === undefined ? undefined : { name, node }
  }

  #symlink(end: number): Node | undefined {
    const bytes = this.#field(0x12, end)
    const target = bytes === undefined ? undefined : tryAdoptTarget(bytes)
    return target === undefined ? undefined : { kind: 'symlink', target }
  }

  #content(tag: number, end: number): Node | undefined {
    const bytes = this.#bytes
    const at = this.#at
    if (bytes[at] !== 0x12 || bytes[at + 1] !== 32 || at + 34 > end) return undefined
    const digest = B3Digest.adopt(new Uint8Array(this.#buffer, this.#base + at + 2, 32))
    this.#at = at + 34
    let size = 0n
    if (this.#at < end && bytes[this.#at] === 0x18) {
      this.#at++
      const read = this.#size()
      if (read === undefined) return undefined
      size = read
    }
    if (tag === DIRECTORY_TAG) return { kind: 'directory', digest, size }
    const executable = this.#at < end && bytes[this.#at] === 0x20 && bytes[this.#at + 1] === 1
    if (executable) this.#at += 2
    return { kind: 'file', digest, size, executable }
  }

  /** A view of a length-delimited field that ends at or before `end`. */
  #field(tag: number, end: number): Uint8Array | undefined {
    if (this.#at >= end || this.#bytes[this.#at] !== tag) return undefined
    this.#at++
    const length = this.#varint()
    const start = this.#at
    if (length < 0 || start + length > end) return undefined
    this.#at = start + length
    return new Uint8Array(this.#buffer, this.#base + start, length)
  }

  /** A minimal varint below 2^53, else −1. Past the end, bytes read as undefined, which counts as 0 and is not minimal. */
  #varint(): number {
    const bytes = this.#bytes
    let byte = bytes[this.#at++]!
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let scale = 128
    for (let i = 1; i < 7; i++) {
      byte = bytes[this.#at++]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return byte === 0 ? -1 : value
      scale *= 128
    }
    return -1
  }

  /** A minimal, non-zero varint of up to 64 bits. */
  #size(): bigint | undefined {
    const start = this.#at
    const value = this.#varint()
    if (value > 0) return BigInt(value)
    if (this.#at - start < 7) return undefined
    this.#at = start
    let big = 0n
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined || (i === 9 && byte > 1)) return undefined
      big += BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return byte === 0 ? undefined : big
    }
    return undefined
  }
}

/** Merges two lists by name; undefined when they share one. */
function merge(a: DirectoryEntry[], b: DirectoryEntry[]): DirectoryEntry[] | undefined {
  if (a.length === 0) return b
  if (b.length === 0) return a
  const out: DirectoryEntry[] = []
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    const order = compareBytes(a[i]!.name.bytes, b[j]!.name.bytes)
    if (order === 0) return undefined
    out.push(order < 0 ? a[i++]! : b[j++]!)
  }
  while (i < a.length) out.push(a[i++]!)
  while (j < b.length) out.push(b[j++]!)
  return out
}

/** The entries of a canonical `Directory` message in name order; undefined when the bytes are not one. Sizes are not added up. */
export function decodeCanonicalEntries(bytes: Uint8Array): DirectoryEntry[] | undefined {
  const decoder = new CanonicalDecoder(bytes)
  const directories = decoder.list(DIRECTORY_TAG)
  const files = directories && decoder.list(FILE_TAG)
  const symlinks = files && decoder.list(SYMLINK_TAG)
  if (symlinks === undefined || !decoder.done) return undefined
  const content = merge(directories!, files!)
  return content && merge(content, symlinks)
}
