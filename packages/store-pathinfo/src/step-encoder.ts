import { NarEncoder, type NarEncoderOptions } from '@neve/nar'
import type { NarStep } from './nar-plan.js'

/** What is in the store can be rendered: Nix reads NARs of any depth up to its own limits. */
export const MAX_NAR_DEPTH = 1_000_000

/** Encodes the steps of a plan, all but the content of files. */
export class StepEncoder {
  readonly encoder: NarEncoder
  #depth = 0

  /** @param emit as for `NarEncoder` */
  constructor(emit: (chunk: Uint8Array) => void, options: NarEncoderOptions) {
    this.encoder = new NarEncoder(emit, { ...options, maxDepth: MAX_NAR_DEPTH })
    this.encoder.start()
  }

  step(step: NarStep): void {
    const { encoder } = this
    switch (step.kind) {
      case 'entry':
        encoder.entry(step.name)
        return
      case 'file':
        encoder.fileHeader(step.node.executable, step.node.size)
        return
      case 'piece':
        return
      case 'file-end':
        encoder.fileEnd()
        break
      case 'symlink':
        encoder.symlink(step.target)
        break
      case 'enter':
        encoder.directoryStart()
        this.#depth++
        return
      case 'leave':
        encoder.directoryEnd()
        this.#depth--
        break
    }
    if (this.#depth > 0) encoder.entryEnd()
  }
}
