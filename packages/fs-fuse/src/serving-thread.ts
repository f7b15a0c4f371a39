import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { CastoreFilesystemInit, FilesystemTrouble } from './filesystem/castore-filesystem.js'
import type { OpenCounts } from './open-roots.js'

/** What stands in the root of a mount of an embedded store. */
export interface EmbeddedRoots {
  /** The digest of a directory, as text: its entries are the root. Default: what the thread's module shows. */
  readonly directory?: string | undefined
}

/** What a thread serves. */
export interface ThreadSettings {
  /** The folder of the store. */
  readonly storePath: string
  readonly roots: EmbeddedRoots
  /** How much memory expanded chunks of large files may take, in bytes. Default: 64 MiB; never less than 24 MiB. */
  readonly chunkCacheBytes?: number | undefined
  /** Where files that are open are counted. */
  readonly counts: OpenCounts
  readonly filesystem: Pick<CastoreFilesystemInit, 'listRoot' | 'showXattr' | 'xattrPrefixes' | 'owner'>
}

/** What a thread is told: first what to serve, then the descriptor of the device; undefined instead when it is to end. */
export type ThreadRequest = ThreadSettings | number | undefined

/** What a thread tells. */
export type ThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'trouble'; readonly operation: string; readonly path: string; readonly error: string }
  | { readonly kind: 'fault'; readonly error: string }
  | { readonly kind: 'used'; readonly key: Uint8Array }
  | { readonly kind: 'root'; readonly slot: number; readonly key: Uint8Array }

/** Who hears of what goes wrong in a thread. */
export interface ThreadListeners {
  readonly onTrouble?: ((trouble: FilesystemTrouble) => void) | undefined
  /** Hears of what must not happen. */
  readonly onFault?: ((error: unknown) => void) | undefined
  /** Gets the keys of path infos that are looked up, each once an hour. */
  readonly onUse?: ((key: Uint8Array) => void) | undefined
  /** Gets the key of a root once, before something below it is counted as open, and its place among the counts. */
  readonly onRoot?: ((slot: number, key: Uint8Array) => void) | undefined
}

const DIRECTORIES = import.meta.resolve('@neve/fs-fuse/embedded-thread')

/**
 * A thread that serves one mount of an embedded store. To load what it needs takes a while, so make it as early
 * as you can; close it if it is not needed.
 */
export class ServingThread {
  readonly #worker: Worker
  readonly #ended: Promise<void>

  /**
   * @param module the URL of the module that it runs, which calls `serveEmbedded` of `@neve/fs-fuse/serve-embedded`.
   *   Default: one that shows directories only
   */
  constructor(module = DIRECTORIES) {
    this.#worker = new Worker(new URL(module))
    this.#ended = once(this.#worker, 'exit').then(() => {})
    this.#ended.catch(() => {})
  }

  /** Opens the store. Rejects with what the thread fails with. */
  async prepare(
    settings: ThreadSettings,
    { onTrouble, onFault, onUse, onRoot }: ThreadListeners,
  ): Promise<void> {
    this.#worker.on('message', (message: ThreadMessage) => {
      if (message.kind === 'trouble') onTrouble?.({ ...message, error: new Error(message.error) })
      if (message.kind === 'used') onUse?.(message.key)
      if (message.kind === 'root') onRoot?.(message.slot, message.key)
      if (message.kind === 'fault') onFault?.(new Error(message.error))
    })
    const ready = once(this.#worker, 'message')
    this.#tell(settings)
    await ready
  }

  /**
   * Begins to serve.
   *
   * @param descriptor of the device, open until the promise settles
   * @returns settles when the connection has ended
   */
  serve(descriptor: number): Promise<void> {
    this.#tell(descriptor)
    return this.#ended
  }

  /** Ends a thread that does not serve yet. */
  async close(): Promise<void> {
    // It ends itself: a thread that is ended from outside while it loads an addon takes the process with it.
    this.#tell(undefined)
    await this.#ended.catch(() => {})
  }

  #tell(request: ThreadRequest): void {
    this.#worker.postMessage(request)
  }
}
