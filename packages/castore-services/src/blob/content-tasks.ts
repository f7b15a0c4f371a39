import { blake3, equalBytes } from '@neve/castore-model'
import { type ContentReader, DamagedRecordError, type EmbeddedStore } from '@neve/embedded-store'
import type { Slot, TaskRunner } from '../concurrency/slot-threads.js'
import { StoredFrameTasks } from './stored-frame-tasks.js'

/**
 * Pieces of content to read into a slot's raw part, each stored as one record, with given bytes between them: the
 * literal, which lies in the slot's packed part.
 */
export interface ContentTask {
  readonly slot: Slot
  /** The digests, 32 bytes each. */
  readonly digests: Uint8Array
  /** The length that each should have, in bytes. */
  readonly sizes: Uint32Array
  /** How many bytes of the literal go before each piece; the rest goes behind the last. */
  readonly gaps: Uint32Array
  readonly literalLength: number
  /** Makes a zstd stream of it, from the frames that are stored. Default: the content itself. */
  readonly frames?: FrameCheck | undefined
}

/**
 * How a stored zstd frame is verified before it leaves as it is. Content that is not stored as a frame is hashed in any
 * case.
 *
 * - `checksum`: by its record's checksum, which the store made of the stored bytes, the digest and a number of its own
 *   when the content had just been hashed. It finds damage; that the frame expands to what the digest stands for
 *   follows from how it was written.
 * - `digest`: it is expanded, and the content compared with its digest.
 */
export type FrameCheck = 'checksum' | 'digest'

/** Why a piece could not be read. */
export interface ContentFailure {
  /** Which piece. */
  readonly index: number
  readonly kind: 'missing' | 'wrong-size' | 'damaged' | 'failed'
  readonly detail: string
}

/** All is in the slot, verified; or the first piece that is not. */
export interface ContentResult {
  /** Length of what is in the slot, in bytes. */
  readonly length: number
  readonly failure: ContentFailure | undefined
}

/** Reads, expands and verifies content: in a thread, or where it was called for a few pieces. */
export class ContentTasks implements TaskRunner<ContentTask, ContentResult> {
  readonly #engine: EmbeddedStore
  readonly #reader: ContentReader
  #frames: StoredFrameTasks | undefined

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    // Every piece is compared with its digest.
    this.#reader = engine.contentReader({ checksums: false })
  }

  run(task: ContentTask): ContentResult {
    if (task.frames !== undefined) {
      this.#frames ??= new StoredFrameTasks(this.#engine)
      return this.#frames.run(task, task.frames)
    }
    const { slot, digests, sizes, gaps, literalLength } = task
    const raw = plain(slot.raw)
    const literal = plain(slot.packed)
    let from = 0
    let at = 0
    for (let index = 0; index < sizes.length; index++) {
      const gap = gaps[index]!
      if (gap > 0) raw.set(literal.subarray(from, from + gap), at)
      from += gap
      at += gap
      const size = sizes[index]!
      const digest = digests.subarray(index * 32, index * 32 + 32)
      const failure = this.#read(digest, raw.subarray(at, at + size))
      if (failure !== undefined) return { length: 0, failure: { index, ...failure } }
      at += size
    }
    raw.set(literal.subarray(from, literalLength), at)
    return { length: at + literalLength - from, failure: undefined }
  }

  close(): void {}

  #read(digest: Uint8Array, out: Uint8Array): Omit<ContentFailure, 'index'> | undefined {
    const failure = this.#readFrom(this.#reader, digest, out)
    // Another process may have written damaged content again, somewhere else.
    return failure?.kind === 'damaged' ? this.#readFrom(this.#engine.contentReader(), digest, out) : failure
  }

  #readFrom(
    reader: ContentReader,
    digest: Uint8Array,
    out: Uint8Array,
  ): Omit<ContentFailure, 'index'> | undefined {
    try {
      const stored = reader.peek(digest) ?? reader.readSync(digest)
      if (stored === undefined) return { kind: 'missing', detail: 'not stored' }
      if (stored.rawLength !== out.length) {
        return { kind: 'wrong-size', detail: `${stored.rawLength} bytes, expected ${out.length}` }
      }
      if (!reader.expand(stored, out)) return { kind: 'damaged', detail: 'the stored frame does not expand' }
      if (!equalBytes(blake3.digest(out), digest)) {
        return { kind: 'damaged', detail: 'the content has another hash' }
      }
      return undefined
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      return { kind: error instanceof DamagedRecordError ? 'damaged' : 'failed', detail }
    }
  }
}

/** The same memory as a plain array: a part of a Buffer takes twice as long to make. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
