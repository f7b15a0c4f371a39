import type { CallOptions } from '../call-options.js'
import { LruMap } from '../concurrency/lru-map.js'

/** Folders that are remembered to be there. */
const REMEMBERED = 100_000

/**
 * Makes folders one inside the other, each once: servers fail when two requests make the same one, and opendal asks for
 * each missing folder with every write.
 */
export class RemoteFolders {
  readonly #create: (folder: string) => Promise<void>
  readonly #made = new LruMap<string, Promise<void>>(REMEMBERED)

  /** @param create makes one folder, whose parent is there; its name ends in a slash. Not cancelled: others wait for it. */
  constructor(create: (folder: string) => Promise<void>) {
    this.#create = create
  }

  /** Makes the folders that a key lies in. */
  async makeFor(key: string, { signal }: CallOptions): Promise<void> {
    signal?.throwIfAborted()
    await this.#make(key.slice(0, key.lastIndexOf('/') + 1))
  }

  #make(folder: string): Promise<void> {
    const known = this.#made.get(folder)
    if (known !== undefined) return known
    const making = this.#makeNew(folder)
    this.#made.set(folder, making)
    making.catch(() => this.#made.delete(folder))
    return making
  }

  async #makeNew(folder: string): Promise<void> {
    if (folder !== '') await this.#make(folder.slice(0, folder.lastIndexOf('/', folder.length - 2) + 1))
    await this.#create(folder === '' ? '/' : folder)
  }
}
