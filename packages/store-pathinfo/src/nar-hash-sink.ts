import { createHash } from 'node:crypto'
import type { TreeSink } from '@neve/castore-services/ingest/filesystem'
import { NarEncoder } from '@neve/nar'
import type { NarMeasure } from './measure-nar.js'
import { MAX_NAR_DEPTH } from './step-encoder.js'

/** Measures the NAR of a tree while the tree is being ingested. */
export class NarHashSink implements TreeSink {
  readonly #hash = createHash('sha256')
  readonly #encoder = new NarEncoder((chunk) => this.#hash.update(chunk), {
    reuseBuffer: true,
    maxDepth: MAX_NAR_DEPTH,
  })

  constructor() {
    this.#encoder.start()
  }

  directoryStart(): void {
    this.#encoder.directoryStart()
  }

  entry(name: Uint8Array): void {
    this.#encoder.entry(name)
  }

  entryEnd(): void {
    this.#encoder.entryEnd()
  }

  directoryEnd(): void {
    this.#encoder.directoryEnd()
  }

  symlink(target: Uint8Array): void {
    this.#encoder.symlink(target)
  }

  file(executable: boolean, size: number): void {
    this.#encoder.fileHeader(executable, BigInt(size))
  }

  content(bytes: Uint8Array): void {
    this.#encoder.content(bytes)
  }

  fileEnd(): void {
    this.#encoder.fileEnd()
  }

  /** The measure, once the tree is complete. */
  finish(): NarMeasure {
    const narSize = this.#encoder.finish()
    return { narSize, narSha256: new Uint8Array(this.#hash.digest()) }
  }
}
