import type { EmbeddedStore } from '@neve/embedded-store'
import { chunkSizes } from '@neve/fastcdc'
import { FrameThreads } from './frame-threads.js'

/** So many writers share the threads of a store; those beyond work in the thread that calls them. */
const MAX_WRITERS = 4
/** Of the bytes of a slot, those after the last sure end of a chunk, up to 512 KiB, are copied. */
const ROOM = 2 * 1024 * 1024
/** How long threads wait for the next writer, in milliseconds: they take a tenth of a second to start. */
const LINGER = 5000

/** Threads that hash chunks and frame records, for the writers of large blobs into one embedded store. */
export class RecordThreads {
  static readonly #ofEngines = new WeakMap<EmbeddedStore, RecordThreads>()
  readonly threads: FrameThreads
  readonly #forget: () => void
  #writers = 0
  #lingering: NodeJS.Timeout | undefined

  private constructor(engine: EmbeddedStore) {
    const { min, max } = chunkSizes()
    this.threads = new FrameThreads({ maxChunk: max, minChunk: min, room: ROOM, salt: engine.salt })
    this.#forget = () => RecordThreads.#ofEngines.delete(engine)
  }

  /**
   * The threads of a store, for one writer, which has to leave them.
   *
   * @returns undefined while too many others use them
   */
  static join(engine: EmbeddedStore): RecordThreads | undefined {
    let shared = RecordThreads.#ofEngines.get(engine)
    if (shared === undefined) {
      shared = new RecordThreads(engine)
      RecordThreads.#ofEngines.set(engine, shared)
    }
    if (shared.#writers === MAX_WRITERS) return undefined
    clearTimeout(shared.#lingering)
    shared.#writers += 1
    return shared
  }

  leave(): void {
    this.#writers -= 1
    if (this.#writers > 0) return
    this.#lingering = setTimeout(() => {
      this.#forget()
      void this.threads.close()
    }, LINGER).unref()
  }
}
