import type { Attributes } from '../filesystem/attributes.js'
import { ATTRIBUTES, DIRENT, ENTRY, OUT_HEADER } from './constants.js'

const HIGH = 2 ** 32
const BLOCK = 512
const FOR_EVER = 0xffffffff
const FOR_EVER_NSEC = 999_999_999

/** Room for the largest listing that is given at once, with its header. */
export const REPLY_ROOM = 128 * 1024

/**
 * Writes replies (spec 05 sections 11.3 and 11.5) into one piece of memory, one after the other: what it returns is good
 * until the next is begun.
 */
export class ReplyWriter {
  readonly #bytes = Buffer.alloc(REPLY_ROOM)
  readonly #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, REPLY_ROOM)
  #end = OUT_HEADER

  /** Begins the reply to a request. */
  begin(uniqueLow: number, uniqueHigh: number): this {
    this.#u32(4, 0)
    this.#u32(8, uniqueLow)
    this.#u32(12, uniqueHigh)
    this.#end = OUT_HEADER
    return this
  }

  /**
   * Ends the reply.
   *
   * @param following bytes of the body that are sent behind what is written here
   */
  finish(following = 0): Uint8Array {
    this.#u32(0, this.#end + following)
    return this.#bytes.subarray(0, this.#end)
  }

  /** The whole reply of a request that fails. */
  error(uniqueLow: number, uniqueHigh: number, errno: number): Uint8Array {
    this.begin(uniqueLow, uniqueHigh).#view.setInt32(4, -errno, true)
    return this.finish()
  }

  u32(value: number): this {
    this.#u32(this.#take(4), value)
    return this
  }

  u16(value: number): this {
    this.#view.setUint16(this.#take(2), value, true)
    return this
  }

  u64(value: number): this {
    this.#u64(this.#take(8), value)
    return this
  }

  zeros(count: number): this {
    const at = this.#take(count)
    this.#bytes.fill(0, at, at + count)
    return this
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#take(value.length))
    return this
  }

  /** `fuse_attr_out`: attributes that hold for ever. */
  attributes(attributes: Attributes): this {
    const at = this.#take(16 + ATTRIBUTES)
    this.#forEver(at)
    this.#u32(at + 8, FOR_EVER_NSEC)
    this.#u32(at + 12, 0)
    this.#attributes(at + 16, attributes)
    return this
  }

  /** `fuse_entry_out`: a name and its attributes hold for ever. */
  entry(node: number, attributes: Attributes): this {
    const at = this.#take(ENTRY)
    this.#u64(at, node)
    this.#u64(at + 8, 0)
    this.#forEver(at + 16)
    this.#forEver(at + 24)
    this.#u32(at + 32, FOR_EVER_NSEC)
    this.#u32(at + 36, FOR_EVER_NSEC)
    this.#attributes(at + 40, attributes)
    return this
  }

  /** `fuse_entry_out` of a name that is not there, and never will be. */
  absentEntry(): this {
    const at = this.#take(ENTRY)
    this.#bytes.fill(0, at, at + ENTRY)
    this.#forEver(at + 16)
    return this
  }

  /** `fuse_dirent`. */
  dirent(name: Uint8Array, { inoLow, inoHigh, mode }: Attributes, next: number): this {
    const size = direntSize(name)
    const at = this.#take(size)
    this.#u32(at, inoLow)
    this.#u32(at + 4, inoHigh)
    this.#u64(at + 8, next)
    // The padding: at most the last 7 bytes.
    this.#u32(at + size - 8, 0)
    this.#u32(at + size - 4, 0)
    this.#u32(at + 16, name.length)
    this.#u32(at + 20, mode >>> 12)
    this.#bytes.set(name, at + DIRENT)
    return this
  }

  #attributes(at: number, { inoLow, inoHigh, size, mode, nlink, uid, gid }: Attributes): void {
    this.#u32(at, inoLow)
    this.#u32(at + 4, inoHigh)
    this.#u64(at + 8, size)
    this.#u64(at + 16, Math.ceil(size / BLOCK))
    this.#bytes.fill(0, at + 24, at + 60)
    this.#u32(at + 60, mode)
    this.#u32(at + 64, nlink)
    this.#u32(at + 68, uid)
    this.#u32(at + 72, gid)
    this.#u32(at + 76, 0)
    this.#u32(at + 80, 0)
    this.#u32(at + 84, 0)
  }

  #forEver(at: number): void {
    this.#u32(at, FOR_EVER)
    this.#u32(at + 4, FOR_EVER)
  }

  #take(count: number): number {
    const at = this.#end
    this.#end = at + count
    return at
  }

  #u32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  /** Numbers above 2^53 are rounded; 2^64 and more cannot be. */
  #u64(at: number, value: number): void {
    this.#u32(at, value % HIGH)
    this.#u32(at + 4, value / HIGH)
  }
}

/** Length of a `fuse_dirent` with its padding, in bytes. */
export function direntSize(name: Uint8Array): number {
  return (DIRENT + name.length + 7) & ~7
}
