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
  const writer = new StepWriter()
  const open: Uint8Array[] = []
  let steps: BatchStep[] = []
  let count = 0
  let files = 0
  let run: { readonly kind: 'files'; count: number } | undefined
  let folder: Uint8Array = root
  const cut = (): FileBatch => {
    const batch = { steps, taskSteps: writer.take(), count, folder, slot: undefined, result: undefined }
    steps = []
    count = 0
    files = 0
    run = undefined
    folder = open.at(-1) ?? root
    return batch
  }
  for (const step of walkTree(root)) {
    writer.step(step)
    count++
    if (step.kind === 'file') {
      files++
      if (run === undefined) {
        run = { kind: 'files', count: 0 }
        steps.push(run)
      }
      run.count++
    } else {
      run = undefined
      steps.push(step)
      if (step.kind === 'enter') open.push(withSlash(step.path))
      else if (step.kind === 'leave') open.pop()
      if (count === 1 && step.kind === 'enter' && step.name === '') folder = open[0]!
    }
    if (files === FILES_PER_TASK || count === 4 * FILES_PER_TASK) yield cut()
  }
  if (count > 0) yield cut()
}
