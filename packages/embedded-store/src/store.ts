import { existsSync, readdirSync } from 'node:fs'
import { ContentReader } from './content-reader.js'
import { DamagedRecordError, EmbeddedStoreError } from './errors.js'
import { layoutOf, openFormat, type StoreLayout } from './format.js'
import { type RebuildReport, rebuildTables } from './rebuild.js'
import { KEY_LENGTH } from './record.js'
import { SegmentFiles, segmentId } from './segment.js'
import { SEGMENT_SIZE, StoreWriter, type WriteSession } from './store-writer.js'
import { type Location, type TableName, Tables } from './tables.js'

export interface EmbeddedStoreOptions {
  /** Make the store where there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean
  /** Refuse every write. Default: false. */
  readonly readOnly?: boolean
  /** A segment is sealed once it has this length, in bytes. Default: 256 MiB. */
  readonly segmentSize?: number
}

/**
 * The storage engine: bytes under keys, in one folder, for many processes at once. Content lies in append-only
 * segments and is found through an LMDB index; smaller things are entries of LMDB tables. It knows nothing of what the
 * bytes mean: keys are 32 bytes chosen by the caller, and the checksums it verifies are its own.
 *
 * @see the README of this package for the format
 */
export class EmbeddedStore implements AsyncDisposable {
  /** The folder of the store. */
  readonly path: string
  /** The number from which the checksums of this store's records start. */
  readonly salt: number
  readonly #tables: Tables
  readonly #files: SegmentFiles
  readonly #writer: StoreWriter | undefined
  #closed = false

  private constructor(layout: StoreLayout, salt: number, tables: Tables, options: EmbeddedStoreOptions) {
    this.path = layout.root
    this.salt = salt
    this.#tables = tables
    this.#files = new SegmentFiles(layout.segments)
    const segmentSize = options.segmentSize ?? SEGMENT_SIZE
    this.#writer =
      options.readOnly === true ? undefined : new StoreWriter(layout.segments, tables, salt, segmentSize)
  }

  /**
   * Opens the store in a folder, making it if need be. Where the tables are gone but segments are there, the tables
   * are made anew from them.
   *
   * @throws {@link EmbeddedStoreError} `not-a-store`, `newer-version`, `no-permission`, `no-space`, `io`
   */
  static async open(path: string, options: EmbeddedStoreOptions = {}): Promise<EmbeddedStore> {
    const readOnly = options.readOnly === true
    const layout = layoutOf(path)
    const salt = openFormat(layout, options.create ?? !readOnly)
    const orphaned =
      !existsSync(`${layout.tables}/data.mdb`) &&
      existsSync(layout.segments) &&
      readdirSync(layout.segments).some((name) => segmentId(name) !== undefined)
    if (orphaned && !readOnly) await rebuildTables(layout, salt)
    return new EmbeddedStore(layout, salt, new Tables(layout.tables, readOnly), options)
  }

  /**
   * Makes all tables anew from the segments. No other process may be writing.
   *
   * @returns what was found
   */
  static async rebuild(path: string): Promise<RebuildReport> {
    const layout = layoutOf(path)
    return rebuildTables(layout, openFormat(layout, false))
  }

  /** Where some content lies, or undefined. */
  locate(key: Uint8Array): Location | undefined {
    this.#check(key)
    return this.#tables.locate(key)
  }

  hasContent(key: Uint8Array): boolean {
    this.#check(key)
    return this.#tables.hasContent(key)
  }

  /**
   * The content under a key, or undefined. The array belongs to the caller. Only the engine's own checksum has been
   * verified.
   *
   * @throws {@link DamagedRecordError}
   */
  async readContent(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#check(key)
    const reader = this.contentReader()
    const stored = await reader.read(key)
    if (stored === undefined) return undefined
    const content = new Uint8Array(stored.rawLength)
    if (!reader.expand(stored, content)) {
      const location = this.#tables.locate(key)
      throw new DamagedRecordError(
        Buffer.from(key).toString('hex'),
        String(location?.segment ?? ''),
        location?.offset ?? 0,
        'the stored frame does not expand to its length',
      )
    }
    return content
  }

  /** A reader for a walk through content, in the order in which it was written if possible. */
  contentReader(): ContentReader {
    this.#checkOpen()
    return new ContentReader(this.#tables, this.#files, this.salt)
  }

  /** An entry of a table, or undefined. The array belongs to the caller. */
  get(table: TableName, key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen()
    return this.#tables.get(table, key)
  }

  has(table: TableName, key: Uint8Array): boolean {
    this.#checkOpen()
    return this.#tables.has(table, key)
  }

  /** The entries of a table in bytewise order of their keys, from `from` on. */
  entries(table: TableName, from?: Uint8Array): Iterable<readonly [Uint8Array, Uint8Array]> {
    this.#checkOpen()
    return this.#tables.entries(table, from)
  }

  /** How many entries a table has, or how many pieces of content there are. */
  count(table: TableName | 'content'): number {
    this.#checkOpen()
    return this.#tables.count(table)
  }

  /** The keys of all content in bytewise order. */
  contentKeys(): Iterable<Uint8Array> {
    this.#checkOpen()
    return this.#tables.contentKeys()
  }

  /** Starts to write. */
  write(): WriteSession {
    this.#checkOpen()
    if (this.#writer === undefined)
      throw new EmbeddedStoreError('no-permission', 'the store is open for reading only')
    return this.#writer.session()
  }

  /** Lets the next read see what other processes have published since. Reads do so by themselves between ticks. */
  refresh(): void {
    this.#tables.refresh()
  }

  /** Waits for running commits, then closes. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#writer?.close()
    } finally {
      this.#files.close()
      await this.#tables.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #check(key: Uint8Array): void {
    this.#checkOpen()
    if (key.length !== KEY_LENGTH) {
      throw new EmbeddedStoreError(
        'invalid-input',
        `a key must have ${KEY_LENGTH} bytes, this has ${key.length}`,
      )
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new EmbeddedStoreError('closed', 'the store is closed')
  }
}
