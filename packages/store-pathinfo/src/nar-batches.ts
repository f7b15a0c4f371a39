import {
  CONTENT_TASK_BYTES,
  CONTENT_TASK_PIECES,
  LITERAL_ROOM,
} from '@neve/castore-services/blob/content-threads'
import type { NarPiece, NarStep } from './nar-plan.js'
import { StepEncoder } from './step-encoder.js'

/** What the encoder collects, in bytes, and the room that is kept for it and the step that makes it full. */
const ENCODER_BUFFER = 16 * 1024
const KEPT_FREE = 2 * ENCODER_BUFFER

/** A stretch of a NAR: its content in pieces, and everything else of it in one array. None of the arrays changes. */
export interface NarBatch {
  /** Of the pieces, 32 bytes each. */
  readonly digests: Uint8Array
  /** Of the pieces, in bytes. */
  readonly sizes: Uint32Array
  /** Everything but the content. */
  readonly literal: Uint8Array
  /** How many bytes of `literal` come before each piece; the rest comes behind the last. */
  readonly gaps: Uint32Array
}

/** Options of {@link planBatches}. */
export interface BatchOptions {
  /** What a piece takes in the task's memory, in bytes. Default: its size. */
  readonly lengthOf?: ((piece: NarPiece) => number) | undefined
  /** From how many bytes on a task takes no further piece; asked for each. Default: all that tasks are made for. */
  readonly most?: (() => number) | undefined
}

/** Groups steps so that each group fits one task. */
export async function* planBatches(
  source: AsyncIterable<readonly NarStep[]>,
  { lengthOf = ({ size }) => size, most = () => CONTENT_TASK_BYTES }: BatchOptions = {},
): AsyncGenerator<NarBatch, void, undefined> {
  const builder = new BatchBuilder(lengthOf, most)
  for await (const steps of source) {
    for (const step of steps) {
      builder.step(step)
      if (builder.full) yield builder.cut()
    }
  }
  yield builder.finish()
}

class BatchBuilder {
  readonly #lengthOf: (piece: NarPiece) => number
  readonly #most: () => number
  readonly #literal = new Uint8Array(LITERAL_ROOM)
  #literalLength = 0
  readonly #gaps = new Uint32Array(CONTENT_TASK_PIECES)
  /** How much of the literal stands before the last piece. */
  #placed = 0
  readonly #digests = new Uint8Array(CONTENT_TASK_PIECES * 32)
  readonly #sizes = new Uint32Array(CONTENT_TASK_PIECES)
  #pieces = 0
  #content = 0
  readonly #steps = new StepEncoder(
    (chunk) => {
      this.#literal.set(chunk, this.#literalLength)
      this.#literalLength += chunk.length
    },
    { reuseBuffer: true, bufferSize: ENCODER_BUFFER },
  )

  constructor(lengthOf: (piece: NarPiece) => number, most: () => number) {
    this.#lengthOf = lengthOf
    this.#most = most
  }

  /** Whether a further step might be too much. */
  get full(): boolean {
    return (
      this.#content + this.#literalLength >= this.#most() ||
      this.#pieces === CONTENT_TASK_PIECES ||
      this.#literalLength + KEPT_FREE > LITERAL_ROOM
    )
  }

  step(step: NarStep): void {
    this.#steps.step(step)
    if (step.kind === 'file') {
      // All of it, whatever its pieces are: one that differs is found when it is read.
      this.#steps.encoder.external(step.node.size)
    } else if (step.kind === 'piece') {
      this.#gaps[this.#pieces] = this.#literalLength - this.#placed
      this.#sizes[this.#pieces] = step.size
      this.#digests.set(step.digest.bytes, this.#pieces * 32)
      this.#placed = this.#literalLength
      this.#pieces++
      this.#content += this.#lengthOf(step)
    }
  }

  cut(): NarBatch {
    this.#steps.encoder.flush()
    const batch = {
      digests: this.#digests.slice(0, this.#pieces * 32),
      sizes: this.#sizes.slice(0, this.#pieces),
      literal: this.#literal.slice(0, this.#literalLength),
      gaps: this.#gaps.slice(0, this.#pieces),
    }
    this.#literalLength = 0
    this.#placed = 0
    this.#pieces = 0
    this.#content = 0
    return batch
  }

  finish(): NarBatch {
    this.#steps.encoder.finish()
    return this.cut()
  }
}
