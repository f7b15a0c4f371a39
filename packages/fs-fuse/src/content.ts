import type { B3Digest, Directory } from '@neve/castore-model'
import {
  type BlobService,
  type CallOptions,
  type DirectoryService,
  SingleFlight,
} from '@neve/castore-services'
import type { MaybePromise } from './maybe-promise.js'
import { ReadAheadContent } from './read-ahead-content.js'

/** Which request of the kernel a read is for: whoever has it may answer the request in the caller's place. */
export interface ReadTicket {
  readonly uniqueLow: number
  readonly uniqueHigh: number
  /** The number of the file's node. */
  readonly node: number
}

/** The bytes of one open file. Any number of reads may run at once. */
export interface FileContent {
  /**
   * Reads from `offset` on, in bytes: less than `length` only where the file ends. Every byte was checked against its
   * digest. The pieces are for reading, and valid until the caller returns to the event loop.
   *
   * @param ticket the request that it is for, if somebody else may answer it
   * @returns undefined when somebody else answers the request
   * @throws DataLossError when content is damaged, or a part of it is missing
   */
  readAt(
    offset: number,
    length: number,
    options?: CallOptions,
    ticket?: ReadTicket,
  ): MaybePromise<readonly Uint8Array[] | undefined>

  /** Lets go of what is held. */
  close(): void
}

/** Where a filesystem finds what is below its root. */
export interface Content {
  /**
   * @returns undefined when it is not stored
   * @throws DataLossError when it is damaged; errors of the backend
   */
  directory(digest: B3Digest, options?: CallOptions): MaybePromise<Directory | undefined>

  /**
   * @param size what the directory says of it, in bytes
   * @returns undefined when it is not stored
   * @throws DataLossError when it is damaged; errors of the backend
   */
  open(digest: B3Digest, size: bigint, options?: CallOptions): MaybePromise<FileContent | undefined>
}

/** Contents from any services. Equal directories that are asked for at once are fetched once. */
export class ServiceContent implements Content {
  readonly #blobs: Pick<BlobService, 'open'>
  readonly #directories: Pick<DirectoryService, 'get'>
  readonly #flights = new SingleFlight<string, Directory | undefined>()

  constructor(blobs: Pick<BlobService, 'open'>, directories: Pick<DirectoryService, 'get'>) {
    this.#blobs = blobs
    this.#directories = directories
  }

  directory(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    return this.#flights.run(digest.key, (signal) => this.#directories.get(digest, { signal }), options)
  }

  async open(digest: B3Digest, size: bigint, options: CallOptions = {}): Promise<FileContent | undefined> {
    const reader = await this.#blobs.open(digest, { signal: options.signal, sizeHint: size })
    return reader && new ReadAheadContent(reader)
  }
}
