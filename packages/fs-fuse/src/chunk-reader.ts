import { DataLossError } from '@neve/castore-services'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { type ChunkName, loadChunk } from './load-chunk.js'

/** Bytes of expanded chunks that are kept, for readers that come back to them. */
const KEPT_BYTES = 16 * 1024 * 1024
/** Room for chunks that are handed out whole, and so are not kept; used again and again. */
const PASSING_BYTES = 4 * 1024 * 1024
/** Memory of chunks that are dropped serves the next ones: lengths are rounded up to a multiple of this. */
const GRAIN = 64 * 1024

/**
 * Chunks of an embedded store for the thread that serves, which keeps those that it used last. What it returns is good
 * until {@link PASSING_BYTES} more have been read, or the chunk is dropped: long enough for one reply.
 */
export class ChunkReader {
  readonly #engine: EmbeddedStore
  readonly #kept = new Map<string, Uint8Array>()
  #keptBytes = 0
  readonly #free = new Map<number, Uint8Array[]>()
  #passing: Uint8Array | undefined
  #passed = 0

  /** @param engine stays the caller's */
  constructor(engine: EmbeddedStore) {
    this.#engine = engine
  }

  /**
   * @param keep whether more of the chunk will be asked for soon
   * @throws DataLossError when it is damaged or missing
   */
  read(chunk: ChunkName, reader: ContentReader, keep: boolean): Uint8Array {
    const { key } = chunk.digest
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept.subarray(0, chunk.size)
    }
    const room = keep ? this.#roomToKeep(chunk.size) : this.#roomToPass(chunk.size)
    const bytes = room.subarray(0, chunk.size)
    const fault = loadChunk(this.#engine, chunk, reader, bytes)
    if (fault !== undefined) {
      const { digest } = chunk
      throw new DataLossError(digest, `embedded:${this.#engine.path}`, `chunk ${digest} is ${fault}`)
    }
    if (keep) {
      this.#kept.set(key, room)
      this.#keptBytes += room.length
    }
    return bytes
  }

  #roomToKeep(size: number): Uint8Array {
    const length = Math.ceil(size / GRAIN) * GRAIN
    for (const [oldest, dropped] of this.#kept) {
      if (this.#keptBytes + length <= KEPT_BYTES) break
      this.#kept.delete(oldest)
      this.#keptBytes -= dropped.length
      const free = this.#free.get(dropped.length)
      if (free === undefined) this.#free.set(dropped.length, [dropped])
      // What is free counts for nothing, so there is little of it.
      else if (free.length < 4) free.push(dropped)
    }
    return this.#free.get(length)?.pop() ?? Buffer.allocUnsafeSlow(length)
  }

  #roomToPass(size: number): Uint8Array {
    if (size > PASSING_BYTES / 2) return Buffer.allocUnsafeSlow(size)
    this.#passing ??= Buffer.allocUnsafeSlow(PASSING_BYTES)
    if (this.#passed + size > PASSING_BYTES) this.#passed = 0
    const room = this.#passing.subarray(this.#passed, this.#passed + size)
    this.#passed += size
    return room
  }
}
