import { readFileSync, realpathSync } from 'node:fs'
import { dropPages } from './file-lock.js'

const WINDOW = 128 * 1024 * 1024
/** So many reads are between two looks at how much is resident. */
const READS = 512

/**
 * What this process has read of a mapped file counts as its memory until the kernel wants it back. Who reads all of it, as
 * collectors do, lets go of it on the way: it stays in the kernel's cache, and is mapped again when it is read again.
 */
export class MappedPages {
  readonly #file: string
  readonly #window: number
  #reads = 0
  #limit: number | undefined

  /**
   * @param file that is mapped, or will be
   * @param window how much more may be resident before pages are let go of, in bytes
   */
  constructor(file: string, window = WINDOW) {
    this.#file = file
    this.#window = window
  }

  /** Counts a read, and lets go of pages when much was read. */
  read(): void {
    if (++this.#reads % READS !== 0) return
    const resident = process.memoryUsage.rss()
    this.#limit ??= resident + this.#window
    if (resident < this.#limit) return
    this.#release()
    // What is left is something else.
    this.#limit = process.memoryUsage.rss() + this.#window
  }

  #release(): void {
    if (process.platform !== 'linux') return
    const file = realpathSync(this.#file)
    for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
      // Shared ones only: of others something might be lost.
      const [, from, to, path] = /^([0-9a-f]+)-([0-9a-f]+) ..-s \S+ \S+ \S+ +(\/.*)$/.exec(line) ?? []
      if (path !== file || from === undefined || to === undefined) continue
      const start = Number.parseInt(from, 16)
      dropPages(start, Number.parseInt(to, 16) - start)
    }
  }
}
