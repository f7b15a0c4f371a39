import { blake3 } from '@neve/castore-model'
import { packRecord, RECORD_HEADER, RecordKind } from '@neve/embedded-store/record'
import { frameChunk } from '../blob/chunk-frames.js'
import type { ChunkResult } from './file-tasks-protocol.js'

/** From this length on contents are laid where they are copied fast, in bytes: for shorter ones the gaps cost more. */
const ALIGNED_FROM = 64 * 1024
/** What V8 copies at once at best, in bytes. */
const WORD = 8

/** What a packer asks of what it packs for. */
export interface PackerContext {
  /** Files up to this length are one chunk, in bytes. */
  readonly minimumChunk: number
  /** The salt of an embedded store's records; undefined for bare zstd frames. */
  readonly salt: number | undefined
  cut(content: Uint8Array): number[]
  isStored(digest: Uint8Array): boolean
}

/** Frames the chunks of one task into its slot. */
export class Packer {
  readonly #out: Uint8Array
  readonly #tasks: PackerContext
  #used = 0

  constructor(out: Uint8Array, tasks: PackerContext) {
    this.#out = out
    this.#tasks = tasks
  }

  file(digest: Uint8Array, content: Uint8Array): ChunkResult[] {
    if (content.length <= this.#tasks.minimumChunk) return [this.chunk(digest, content)]
    const lengths = this.#tasks.cut(content)
    if (lengths.length === 1) return [this.chunk(digest, content)]
    let at = 0
    return lengths.map((length) => {
      const chunk = content.subarray(at, at + length)
      at += length
      return this.chunk(blake3.digest(chunk), chunk)
    })
  }

  chunk(digest: Uint8Array, content: Uint8Array): ChunkResult {
    if (this.#tasks.isStored(digest))
      return { digest, size: content.length, recordOffset: -1, storedLength: 0 }
    const { salt } = this.#tasks
    const at = this.#used + (content.length < ALIGNED_FROM ? 0 : this.#padding(content))
    if (salt === undefined) {
      const storedLength = frameChunk(this.#out, at, content)
      this.#used = at + storedLength
      return { digest, size: content.length, recordOffset: at, storedLength }
    }
    const length = packRecord(this.#out, at, RecordKind.content, digest, content, salt)
    this.#used = at + length
    return { digest, size: content.length, recordOffset: at, storedLength: length - RECORD_HEADER }
  }

  /**
   * How many bytes to leave free so that the payload is aligned as the content is: from shared memory to shared memory
   * V8 copies word by word then, else byte by byte, at an eighth of the speed.
   */
  #padding(content: Uint8Array): number {
    const payload = this.#out.byteOffset + this.#used + RECORD_HEADER
    return (WORD + (content.byteOffset % WORD) - (payload % WORD)) % WORD
  }
}
