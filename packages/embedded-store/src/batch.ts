import type { EntryChange } from './entry-record.js'
import type { EmbeddedStoreError } from './errors.js'
import { KEY_LENGTH } from './record.js'
import type { SegmentWriter } from './segment-writer.js'

/** What is published together. `done` settles when it is on disk and visible, or lost. */
export class Batch {
  /** Locations by their keys, as {@link keyText}. */
  readonly content = new Map<string, Uint8Array>()
  readonly entries: EntryChange[] = []
  readonly segments: SegmentWriter[] = []
  readonly done: Promise<void>
  /** Length of the records appended, in bytes. */
  bytes = 0
  /** Whether somebody waits for it. */
  wanted = false
  #lost: EmbeddedStoreError | undefined
  #resolve!: () => void
  #reject!: (error: EmbeddedStoreError) => void

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever took part learns of a failure from its own commit.
    this.done.catch(() => undefined)
  }

  /** Why nothing of it will become visible: known a little before `done` rejects with it. */
  get lost(): EmbeddedStoreError | undefined {
    return this.#lost
  }

  lose(error: EmbeddedStoreError): void {
    this.#lost ??= error
  }

  settle(): void {
    if (this.#lost === undefined) this.#resolve()
    else this.#reject(this.#lost)
  }
}

/** A key of 32 bytes as text with a character for each byte, which is quick to look up. */
export function keyText(bytes: Uint8Array, at = 0): string {
  return Buffer.prototype.latin1Slice.call(bytes, at, at + KEY_LENGTH)
}

/** The key again. */
export function keyOfText(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}
