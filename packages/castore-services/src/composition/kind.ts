import type { BlobService } from '../blob-service.js'
import type { DirectoryService } from '../directory-service.js'

/** What a kind of service is called, and how it is let go of. */
export interface KindInit<S> {
  /** One word, for messages: `blob`. */
  readonly name: string
  /** The table of a composition file that holds instances of this kind: `blobservices`. */
  readonly table: string
  /** Lets go of a service. Default: its `close`, if it has one. */
  close?(service: S): Promise<void> | void
}

/**
 * The interface that an instance of a composition has (spec 04 section 1). The set is open: whoever has a contract of
 * its own makes a kind for it, and registers types of that kind.
 *
 * Two kinds of the same name are the same kind.
 */
export class Kind<S> {
  readonly name: string
  readonly table: string
  readonly #init: KindInit<S>

  /** @throws TypeError when name or table are not lower-case words */
  constructor(init: KindInit<S>) {
    const { name, table } = init
    for (const word of [name, table]) {
      if (!/^[a-z][a-z0-9-]*$/.test(word)) throw new TypeError(`expected a lower-case word, got '${word}'`)
    }
    this.name = name
    this.table = table
    this.#init = init
  }

  /** Lets go of a service of this kind. */
  async close(service: S): Promise<void> {
    if (this.#init.close === undefined) await closeService(service)
    else await this.#init.close(service)
  }
}

/** Blob services: table `blobservices`. */
export const BLOB_SERVICE: Kind<BlobService> = new Kind<BlobService>({ name: 'blob', table: 'blobservices' })

/** Directory services: table `directoryservices`. */
export const DIRECTORY_SERVICE: Kind<DirectoryService> = new Kind<DirectoryService>({
  name: 'directory',
  table: 'directoryservices',
})

async function closeService(service: unknown): Promise<void> {
  if (typeof service !== 'object' || service === null) return
  if ('close' in service && typeof service.close === 'function') await service.close()
}
