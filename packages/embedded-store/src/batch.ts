import type { EntryChange } from './entry-record.js'
import type { EmbeddedStoreError } from './errors.js'
import { KEY_LENGTH } from './record.js'
import type { SegmentWriter } from './segment-writer.js'

/** What is published together. `done` settles when it is on disk and visible, or lost. */
export class Batch {
  readonly content: (readonly [key: Uint8Array, location: Uint8Array])[] = []
  readonly entries: EntryChange[] = []
  readonly segments: SegmentWriter[] = []
  readonly done: Promise<void>
  /** Length of the records appended, in bytes. */
  bytes = 0
  /** Whether somebody waits for it. */
  wanted = false
  readonly #keys = new Set<string>()
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

  addContent(key: Uint8Array, location: Uint8Array): void {
    this.content.push([key, location])
    this.#keys.add(keyText(key))
  }

  hasContent(key: Uint8Array): boolean {
    return this.#keys.size > 0 && this.#keys.has(keyText(key))
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

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, KEY_LENGTH).toString('latin1')
}
