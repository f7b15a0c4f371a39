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

/** A stretch of a NAR: its content in pieces, and everything else of it in one array. */
export interface NarBatch {
  readonly pieces: readonly NarPiece[]
  /** Everything but the content. The array belongs to the batch. */
  readonly literal: Uint8Array
  /** How many bytes of `literal` come before each piece; the rest comes behind the last. */
  readonly gaps: Uint32Array
}

/** Groups steps so that each group fits one task. */
export async function* planBatches(
  source: AsyncIterable<readonly NarStep[]>,
): AsyncGenerator<NarBatch, void, undefined> {
  const builder = new BatchBuilder()
  for await (const steps of source) {
    for (const step of steps) {
      builder.step(step)
      if (builder.full) yield builder.cut()
    }
  }
  yield builder.finish()
}

class BatchBuilder {
  readonly #literal = new Uint8Array(LITERAL_ROOM)
  #literalLength = 0
  readonly #gaps = new Uint32Array(CONTENT_TASK_PIECES)
  /** How much of the literal stands before the last piece. */
  #placed = 0
  #pieces: NarPiece[] = []
  #content = 0
  readonly #steps = new StepEncoder(
    (chunk) => {
      this.#literal.set(chunk, this.#literalLength)
      this.#literalLength += chunk.length
    },
    { reuseBuffer: true, bufferSize: ENCODER_BUFFER },
  )

  /** Whether a further step might be too much. */
  get full(): boolean {
    return (
      this.#content + this.#literalLength >= CONTENT_TASK_BYTES ||
      this.#pieces.length === CONTENT_TASK_PIECES ||
      this.#literalLength + KEPT_FREE > LITERAL_ROOM
    )
  }

  step(step: NarStep): void {
    this.#steps.step(step)
    if (step.kind === 'file') {
      // All of it, whatever its pieces are: one that differs is found when it is read.
      this.#steps.encoder.external(step.node.size)
    } else if (step.kind === 'piece') {
      this.#gaps[this.#pieces.length] = this.#literalLength - this.#placed
      this.#placed = this.#literalLength
      this.#pieces.push(step)
      this.#content += step.size
    }
  }

  cut(): NarBatch {
    this.#steps.encoder.flush()
    const batch = {
      pieces: this.#pieces,
      literal: this.#literal.slice(0, this.#literalLength),
      gaps: this.#gaps.slice(0, this.#pieces.length),
    }
    this.#literalLength = 0
    this.#placed = 0
    this.#pieces = []
    this.#content = 0
    return batch
  }

  finish(): NarBatch {
    this.#steps.encoder.finish()
    return this.cut()
  }
}
