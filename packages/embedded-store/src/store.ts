import { existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { Collector, liftBeside, type StoredKey } from './collector.js'
import type { Condemnable } from './condemned.js'
import { ContentReader, type ContentReaderOptions } from './content-reader.js'
import { checkEntry, type TableName } from './entry-record.js'
import { DamagedRecordError, EmbeddedStoreError, keyHex, wrapError } from './errors.js'
import { StoreLock } from './file-lock.js'
import { layoutOf, openFormat, type StoreLayout, syncFolder } from './format.js'
import { Lease } from './lease.js'
import { type RebuildReport, rebuildTables } from './rebuild.js'
import { KEY_LENGTH } from './record.js'
import { SegmentFiles, segmentName } from './segment.js'
import { type SnapshotOptions, type SnapshotReport, snapshotStore } from './snapshot.js'
import { busy, lockWithTables } from './store-locking.js'
import { checkSegmentSize, type EmbeddedStoreOptions } from './store-options.js'
import { SEGMENT_SIZE, StoreWriter } from './store-writer.js'
import { decodeLocation, type Location } from './table-values.js'
import { Tables } from './tables.js'
import { UseLog } from './use-log.js'
import type { WriteSession } from './write-session.js'

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
  /** When path infos were last used. */
  readonly uses: UseLog
  readonly #tables: Tables
  readonly #files: SegmentFiles
  readonly #writer: StoreWriter | undefined
  readonly #lock: StoreLock | undefined
  readonly #layout: StoreLayout
  readonly #segmentSize: number
  readonly #lease: Lease | undefined
  /** What was condemned up to this epoch is taken for absent. */
  #goesBy: number
  #hasWritten = false
  #closed = false
  #closing: Promise<void> | undefined

  private constructor(
    layout: StoreLayout,
    salt: number,
    lock: StoreLock | undefined,
    tables: Tables,
    options: EmbeddedStoreOptions,
  ) {
    this.path = layout.root
    this.salt = salt
    this.#lock = lock
    this.#tables = tables
    this.#files = new SegmentFiles(layout.segments)
    this.#layout = layout
    this.#segmentSize = options.segmentSize ?? SEGMENT_SIZE
    const writes = options.readOnly !== true
    this.#writer = writes ? new StoreWriter(layout.segments, tables, salt, this.#segmentSize) : undefined
    this.uses = new UseLog(tables, writes ? 'write' : options.onUse)
    this.#lease = writes ? Lease.take(layout.leases, () => this.#epoch()) : undefined
    // One without a lease may work for another that has one.
    this.#goesBy = this.#lease?.epoch ?? Number.POSITIVE_INFINITY
  }

  /**
   * Opens the store in a folder, making it if need be. Where the tables are gone but segments are there, the tables
   * are made anew from them; while another process does that, this waits.
   *
   * @throws {@link EmbeddedStoreError} `not-a-store`, `newer-version`, `damaged`, `busy`, `invalid-input`,
   *   `no-permission`, `no-space`, `io`
   */
  static async open(path: string, options: EmbeddedStoreOptions = {}): Promise<EmbeddedStore> {
    checkSegmentSize(options.segmentSize)
    const readOnly = options.readOnly === true
    const layout = layoutOf(path)
    const salt = openFormat(layout, options.create ?? !readOnly)
    const lock = options.beside === true ? undefined : await lockWithTables(layout, salt, readOnly)
    try {
      const isNew = !readOnly && !existsSync(layout.tables)
      const tables = new Tables(layout.tables, readOnly, { beside: options.beside === true })
      try {
        if (isNew) syncFolder(layout.root)
        return new EmbeddedStore(layout, salt, lock, tables, options)
      } catch (error) {
        await tables.close()
        throw wrapError(error, `open the store at ${layout.root}`)
      }
    } catch (error) {
      lock?.release()
      throw error
    }
  }

  /**
   * Makes all tables anew from the segments. Nobody else may have the store open. The tables `nars` and `files` are
   * empty afterwards.
   *
   * @returns what was found
   * @throws {@link EmbeddedStoreError} `busy` and as {@link open}
   */
  static async rebuild(path: string): Promise<RebuildReport> {
    const layout = layoutOf(path)
    const salt = openFormat(layout, false)
    const lock = StoreLock.tryTake(layout.formatFile, 'exclusive')
    if (lock === undefined) throw busy(layout, 'somebody has it open')
    try {
      return await rebuildTables(layout, salt)
    } finally {
      lock.release()
    }
  }

  #epoch(): number {
    this.#tables.refresh()
    return this.#tables.condemned.state().epoch
  }

  /** Whether the store was opened for reading only. */
  get readOnly(): boolean {
    return this.#writer === undefined
  }

  /**
   * Whether the garbage collector may remove something while this instance is open. It is still there to be read; but
   * nothing new may lean on it: who would pass over writing it because it is there writes it. Ask this before asking
   * whether it is there.
   */
  isCondemned(what: Condemnable, key: Uint8Array): boolean {
    this.#checkOpen()
    const { condemned } = this.#tables
    if (!condemned.any) return false
    const epoch = condemned.epochOf(what, key)
    // What was condemned later waits for this instance.
    return epoch !== undefined && epoch <= this.#goesBy
  }

  /** Whether something is there to be leaned on: stored, and not {@link isCondemned | condemned}. Nothing is read. */
  keeps(what: Condemnable, key: Uint8Array): boolean {
    if (this.isCondemned(what, key)) return false
    return what === 'content' ? this.hasContent(key) : this.has(what, key)
  }

  /**
   * Lifts condemnations, unless garbage is being marked and swept at this moment. What is lifted counts as written again:
   * nothing that it refers to goes from now on.
   *
   * @returns false when it could not be done now
   */
  async lift(keys: Iterable<StoredKey>): Promise<boolean> {
    this.#checkOpen()
    if (this.#lease === undefined)
      throw new EmbeddedStoreError('no-permission', 'the store is open for reading only')
    return liftBeside(this.#layout.leases, this.#tables, keys)
  }

  /**
   * Lets the garbage collector remove what it has condemned since this instance was opened, while it stays open. From the
   * call on, all that is condemned by then is taken for absent here; who began before may still lean on it.
   *
   * @param settled waits for them: for all that was begun before the call, and for as long as somebody outside may go by
   *   what it was told. Where it rejects, everything stays as it is
   * @returns false when nothing was condemned since
   */
  async renewLease(settled: () => Promise<unknown>): Promise<boolean> {
    this.#checkOpen()
    const epoch = this.#epoch()
    if (this.#lease === undefined || epoch <= this.#lease.epoch) return false
    this.#goesBy = Math.max(this.#goesBy, epoch)
    await settled()
    this.#lease.renew(epoch)
    return true
  }

  /**
   * Begins to collect garbage. Close what it returns.
   *
   * @throws {@link EmbeddedStoreError} `busy` while somebody else collects, `no-permission`, `invalid-input` when this
   *   instance has written: what it has begun would hold the collector back; open the store once more for it
   */
  collect(): Collector {
    if (this.#hasWritten) {
      throw new EmbeddedStoreError('invalid-input', 'open the store once more to collect garbage in it')
    }
    this.#checkOpen()
    const lease = this.#lease
    if (lease === undefined)
      throw new EmbeddedStoreError('no-permission', 'the store is open for reading only')
    const { leases, segments } = this.#layout
    const [tables, salt, segmentSize] = [this.#tables, this.salt, this.#segmentSize]
    return Collector.start({ leases, segments, tables, salt, segmentSize, lease })
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
      const segment = segmentName(location?.segment ?? 0)
      const reason = 'the stored frame does not expand to its length'
      throw new DamagedRecordError(keyHex(key), segment, location?.offset ?? 0, reason)
    }
    return content
  }

  /** The folder of the segments, for threads that read them by themselves. */
  get segmentFolder(): string {
    return this.#layout.segments
  }

  /** Opens a segment for others to read. The descriptor is the caller's. Throws what `open(2)` does. */
  openSegment(id: number): number {
    this.#checkOpen()
    return openSync(join(this.#layout.segments, segmentName(id)), 'r')
  }

  /** A reader for a walk through content, in the order in which it was written if possible. */
  contentReader(options?: ContentReaderOptions): ContentReader {
    this.#checkOpen()
    return new ContentReader(this.#tables, this.#files, this.salt, options)
  }

  /** An entry of a table, or undefined. The array belongs to the caller. */
  get(table: TableName, key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen()
    checkEntry(table, key, undefined)
    return this.#tables.get(table, key)
  }

  has(table: TableName, key: Uint8Array): boolean {
    this.#checkOpen()
    checkEntry(table, key, undefined)
    return this.#tables.has(table, key)
  }

  /**
   * The entries of a table in bytewise order of their keys, from `from` on. The arrays belong to the caller. A walk
   * that is still under way when the store is closed throws `closed`.
   */
  entries(table: TableName, from?: Uint8Array): Iterable<readonly [Uint8Array, Uint8Array]> {
    this.#checkOpen()
    return this.#tables.entries(table, from)
  }

  /** The keys of a table in bytewise order. */
  keys(table: TableName): Iterable<Uint8Array> {
    this.#checkOpen()
    return this.#tables.keys(table)
  }

  /** As {@link get}, in a buffer that is good until the next read of the store only. */
  view(table: TableName, key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen()
    return this.#tables.view(table, key)
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

  /** The keys of all content in bytewise order, and where it lies. */
  locations(): Iterable<readonly [Uint8Array, Location]> {
    this.#checkOpen()
    return this.#tables.locations()
  }

  /** Starts to write. */
  write(): WriteSession {
    this.#checkOpen()
    if (this.#writer === undefined)
      throw new EmbeddedStoreError('no-permission', 'the store is open for reading only')
    this.#hasWritten = true
    return this.#writer.session()
  }

  /**
   * Takes content out of the index that cannot be read where it lies: from then on it is missing, for readers, and for who
   * would pass over writing it. Nothing is done where somebody has written it again, elsewhere.
   *
   * @param at where it was found to be damaged
   * @returns whether it was taken out
   * @throws {@link EmbeddedStoreError} `no-permission` when the store is open for reading only
   */
  async forgetContent(key: Uint8Array, at: Location): Promise<boolean> {
    this.#check(key)
    if (this.#writer === undefined)
      throw new EmbeddedStoreError('no-permission', 'the store is open for reading only')
    return await this.#tables.transact(1, ({ index }) => {
      const value = index.get(key)
      const now = value && decodeLocation(value)
      if (now?.segment !== at.segment || now.offset !== at.offset) return false
      index.removeSync(key)
      return true
    })
  }

  /**
   * Makes a store of its own in an empty or absent folder, with everything that is acknowledged now, while all go on
   * reading and writing. Segments that are full are shared with this store where the file system can do that.
   *
   * @throws {@link EmbeddedStoreError} `not-a-store` when something is in the folder, `no-space`, `busy`, `io`
   */
  snapshot(path: string, options?: SnapshotOptions): Promise<SnapshotReport> {
    this.#checkOpen()
    return snapshotStore({ layout: this.#layout, tables: this.#tables }, path, options)
  }

  /**
   * Lets the next read see what other processes have published since. Reads do so by themselves once the event loop
   * has gone round: only a long synchronous loop needs this.
   */
  refresh(): void {
    this.#tables.refresh()
  }

  /**
   * Waits for the commits that were asked for, then closes; what was written without a commit is dropped. Calling it
   * again does nothing.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed = true
    try {
      await this.#writer?.close()
      await this.uses.flush()
    } finally {
      this.#files.close()
      await this.#tables.close()
      this.#lease?.release()
      this.#lock?.release()
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
