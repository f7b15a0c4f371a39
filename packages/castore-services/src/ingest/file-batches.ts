import type { Slot } from '../concurrency/slot-threads.js'
import { FILES_PER_TASK, type PackFilesResult, type ReadTreeResult } from './file-tasks-protocol.js'
import { type WalkStep, walkTree } from './filesystem-walk.js'
import { withSlash } from './folder-records.js'
import { StepWriter } from './tree-steps.js'

/** What the main thread keeps of a stretch of a walk: files that follow each other are one step. */
export type BatchStep = Exclude<WalkStep, { kind: 'file' }> | { readonly kind: 'files'; count: number }

/** A stretch of a walk that one task reads, or more where it does not fit. */
export interface FileBatch {
  readonly steps: readonly BatchStep[]
  /** The same, as a task takes them, and how many they are then. */
  readonly taskSteps: Uint8Array
  readonly count: number
  /** The folder that the walk was in before, with a slash at its end; or the root, where that is a file. */
  readonly folder: Uint8Array
  slot: Slot | undefined
  result: Promise<BatchResult> | undefined
}

/** What a task has read of a batch, and what another has made of the contents; undefined where they are taken as they are. */
export interface BatchResult {
  readonly read: ReadTreeResult
  readonly packed: PackFilesResult | undefined
}

/** Cuts a walk into tasks; it may run ahead of what is done with them. */
export function* walkBatches(root: Buffer): Generator<FileBatch, void, undefined> {
  const cutter = new BatchCutter(root)
  for (const step of walkTree(root)) if (cutter.add(step)) yield cutter.cut()
  if (cutter.count > 0) yield cutter.cut()
}

class BatchCutter {
  readonly #root: Buffer
  readonly #writer = new StepWriter()
  readonly #open: Uint8Array[] = []
  #steps: BatchStep[] = []
  #files = 0
  #run: { readonly kind: 'files'; count: number } | undefined
  #folder: Uint8Array
  count = 0

  constructor(root: Buffer) {
    this.#root = root
    this.#folder = root
  }

  /** @returns whether a task has enough of it now */
  add(step: WalkStep): boolean {
    this.#writer.step(step)
    this.count++
    if (step.kind !== 'file') {
      this.#addOther(step)
    } else {
      this.#files++
      if (this.#run === undefined) {
        this.#run = { kind: 'files', count: 0 }
        this.#steps.push(this.#run)
      }
      this.#run.count++
    }
    return this.#files === FILES_PER_TASK || this.count === 4 * FILES_PER_TASK
  }

  #addOther(step: Exclude<WalkStep, { kind: 'file' }>): void {
    this.#run = undefined
    this.#steps.push(step)
    if (step.kind === 'enter') this.#open.push(withSlash(step.path))
    else if (step.kind === 'leave') this.#open.pop()
    if (this.count === 1 && step.kind === 'enter' && step.name === '') this.#folder = this.#open[0]!
  }

  cut(): FileBatch {
    const batch = {
      steps: this.#steps,
      taskSteps: this.#writer.take(),
      count: this.count,
      folder: this.#folder,
      slot: undefined,
      result: undefined,
    }
    this.#steps = []
    this.count = 0
    this.#files = 0
    this.#run = undefined
    this.#folder = this.#open.at(-1) ?? this.#root
    return batch
  }
}
