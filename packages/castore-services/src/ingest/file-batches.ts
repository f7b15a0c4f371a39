import type { Slot } from '../concurrency/slot-threads.js'
import { FILES_PER_TASK, type ReadFilesResult } from './file-tasks-protocol.js'
import { type WalkStep, walkTree } from './filesystem-walk.js'

/** A stretch of a walk whose files are read by one task, or by more where they do not fit. */
export interface FileBatch {
  readonly steps: readonly WalkStep[]
  /** How many of the steps are files. */
  readonly files: number
  /** The files' paths, as a task takes them. */
  readonly paths: Uint8Array
  slot: Slot | undefined
  result: Promise<ReadFilesResult> | undefined
}

/** Cuts a walk into tasks; it may run ahead of what is done with them. */
export function* walkBatches(root: Buffer): Generator<FileBatch, void, undefined> {
  let steps: WalkStep[] = []
  let paths: Uint8Array[] = []
  let files = 0
  let folder: Buffer | undefined
  const nul = Buffer.from([0])
  const cut = (): FileBatch => {
    if (folder !== undefined) paths.push(nul)
    const batch: FileBatch = { steps, files, paths: Buffer.concat(paths), slot: undefined, result: undefined }
    steps = []
    paths = []
    files = 0
    folder = undefined
    return batch
  }
  for (const step of walkTree(root)) {
    steps.push(step)
    if (step.kind === 'file') {
      if (folder !== step.folder) {
        if (folder !== undefined) paths.push(nul)
        paths.push(step.folder, nul)
        folder = step.folder
      }
      paths.push(step.name, nul)
      files++
    }
    if (files === FILES_PER_TASK || steps.length === 4 * FILES_PER_TASK) yield cut()
  }
  if (steps.length > 0) yield cut()
}
