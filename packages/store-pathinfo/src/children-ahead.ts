import type { B3Digest, Directory } from '@neve/castore-model'
import type { DirectoryService } from '@neve/castore-services'

/** The child directories of one directory, in order, with lookups under way for those that come next. */
export class ChildrenAhead {
  readonly #directories: Pick<DirectoryService, 'get'>
  readonly #digests: readonly B3Digest[]
  readonly #ahead: number
  readonly #signal: AbortSignal | undefined
  readonly #running: Promise<Directory | undefined>[] = []
  #started: number

  /**
   * @param ahead lookups to have under way, at least 1: 1 where a lookup costs nothing
   * @param skipped how many child directories to pass over. Default: 0
   */
  constructor(
    directories: Pick<DirectoryService, 'get'>,
    parent: Directory,
    ahead: number,
    signal: AbortSignal | undefined,
    skipped = 0,
  ) {
    this.#directories = directories
    this.#digests = [...parent.directories()].map(({ node }) => node.digest)
    this.#ahead = ahead
    this.#signal = signal
    this.#started = skipped
    if (ahead > 1) this.#start()
  }

  /** The next child. */
  next(): Promise<Directory | undefined> {
    if (this.#running.length === 0) this.#start()
    const next = this.#running.shift()!
    if (this.#ahead > 1) this.#start()
    return next
  }

  #start(): void {
    while (this.#running.length < this.#ahead) {
      const digest = this.#digests[this.#started]
      if (digest === undefined) return
      this.#started++
      const lookup = this.#directories.get(digest, { signal: this.#signal })
      // Looked at when its turn comes.
      lookup.catch(() => undefined)
      this.#running.push(lookup)
    }
  }
}
