import { blake3, equalBytes } from '@neve/castore-model'
import { type ContentReader, DamagedRecordError, type EmbeddedStore } from '@neve/embedded-store'
import type { ContentFailure, ContentResult, ContentTask, FrameCheck } from './content-tasks.js'
import { ZstdOutput } from './zstd-output.js'

type Failure = Omit<ContentFailure, 'index'>

const OTHER_HASH: Failure = { kind: 'damaged', detail: 'the content has another hash' }

/** Runs the tasks that make zstd streams of stored frames (DESIGN decision 19). */
export class StoredFrameTasks {
  readonly #engine: EmbeddedStore
  readonly #reader: ContentReader
  #expanded: Uint8Array = new Uint8Array(0)

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    // What is not compressed is compared with its digest.
    this.#reader = engine.contentReader({ checksums: 'compressed' })
  }

  run({ slot, digests, sizes, gaps, literalLength }: ContentTask, check: FrameCheck): ContentResult {
    const output = new ZstdOutput(slot.raw)
    let from = 0
    for (let index = 0; index < sizes.length; index++) {
      const gap = gaps[index]!
      if (gap > 0) output.literal(slot.packed.subarray(from, from + gap))
      from += gap
      const digest = digests.subarray(index * 32, index * 32 + 32)
      const failure = this.#add(output, digest, sizes[index]!, check)
      if (failure !== undefined) return { length: 0, failure: { index, ...failure } }
    }
    output.literal(slot.packed.subarray(from, literalLength))
    return { length: output.end(), failure: undefined }
  }

  #add(output: ZstdOutput, digest: Uint8Array, size: number, check: FrameCheck): Failure | undefined {
    const failure = this.#addFrom(this.#reader, output, digest, size, check)
    if (failure?.kind !== 'damaged') return failure
    // Another process may have written damaged content again, somewhere else.
    return this.#addFrom(this.#engine.contentReader(), output, digest, size, check)
  }

  /** Adds nothing where it fails. */
  #addFrom(
    reader: ContentReader,
    output: ZstdOutput,
    digest: Uint8Array,
    size: number,
    check: FrameCheck,
  ): Failure | undefined {
    try {
      const stored = reader.peek(digest) ?? reader.readSync(digest)
      if (stored === undefined) return { kind: 'missing', detail: 'not stored' }
      if (stored.rawLength !== size) {
        return { kind: 'wrong-size', detail: `${stored.rawLength} bytes, expected ${size}` }
      }
      if (!stored.compressed) {
        if (!equalBytes(blake3.digest(stored.payload), digest)) return OTHER_HASH
        output.literal(stored.payload)
        return undefined
      }
      if (!reader.isWholeFrame(stored)) {
        return { kind: 'damaged', detail: `what is stored is no zstd frame of ${size} bytes` }
      }
      if (check === 'digest') {
        if (this.#expanded.length < size) this.#expanded = new Uint8Array(size)
        const content = this.#expanded.subarray(0, size)
        if (!reader.expand(stored, content)) {
          return { kind: 'damaged', detail: 'the stored frame does not expand' }
        }
        if (!equalBytes(blake3.digest(content), digest)) return OTHER_HASH
      }
      output.frame(stored.payload)
      return undefined
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      return { kind: error instanceof DamagedRecordError ? 'damaged' : 'failed', detail }
    }
  }
}
