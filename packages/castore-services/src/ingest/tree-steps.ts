import type { WalkStep } from './filesystem-walk.js'

/**
 * A stretch of a walk as a task takes it: for each step a byte that says what it is, then what belongs to it, ended by
 * NUL, which neither names nor targets contain. The root's own name is empty.
 */
export const Step = {
  /** A folder is entered; its name. */
  enter: 1,
  /** The folder is left. */
  leave: 2,
  /** A file; its name. */
  file: 3,
  /** A symlink; its name and its target. */
  symlink: 4,
  /** The root, a folder, is left. */
  end: 5,
} as const

const FIRST_ROOM = 8 * 1024

/** Writes steps. */
export class StepWriter {
  #bytes = Buffer.allocUnsafe(FIRST_ROOM)
  #at = 0

  step(step: WalkStep): void {
    if (step.kind === 'leave') {
      this.#reserve(1)
      this.#bytes[this.#at++] = step.root ? Step.end : Step.leave
      return
    }
    const { kind, name } = step
    this.#reserve(name.length + (kind === 'symlink' ? step.target.length : 0) + 3)
    this.#bytes[this.#at++] = Step[kind]
    this.#at += this.#bytes.write(name, this.#at, 'latin1')
    this.#bytes[this.#at++] = 0
    if (kind !== 'symlink') return
    this.#bytes.set(step.target, this.#at)
    this.#at += step.target.length
    this.#bytes[this.#at++] = 0
  }

  /** The steps so far; begins anew. */
  take(): Uint8Array {
    const taken = Uint8Array.prototype.slice.call(this.#bytes, 0, this.#at)
    this.#at = 0
    return taken
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#at + length))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

/** Reads steps one by one. */
export class StepReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(steps: Uint8Array) {
    this.#bytes = Buffer.from(steps.buffer, steps.byteOffset, steps.byteLength)
  }

  /** What the next step is; undefined at the end. */
  next(): number | undefined {
    return this.#bytes[this.#at++]
  }

  /** A name or target of the step: a view, with a NUL behind its end. */
  bytes(): Buffer {
    const end = this.#bytes.indexOf(0, this.#at)
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end + 1
    return bytes
  }
}
