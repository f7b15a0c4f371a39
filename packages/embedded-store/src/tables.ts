import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, open, type RootDatabase } from 'lmdb'
import { keyOfText } from './batch.js'
import { type Condemnable, Condemned } from './condemned.js'
import { type EntryChange, TABLES, type TableName } from './entry-record.js'
import { EmbeddedStoreError, wrapError } from './errors.js'
import { MutexLock, oneAtATime } from './file-lock.js'
import { MappedPages } from './mapped-pages.js'
import { RESERVE, TableRoom } from './table-room.js'
import {
  decodeLocation,
  decodeSegmentState,
  encodeSegmentState,
  type Location,
  type SegmentState,
  segmentKey,
  segmentOfKey,
} from './table-values.js'
import { checkDataFile, freeBytes, MAP_SIZE, prepareReading, prepareTables } from './tables-file.js'

/** What one commit publishes. */
export interface TablesChange {
  /** Locations by their keys as text. */
  readonly content: ReadonlyMap<string, Uint8Array>
  readonly entries: readonly EntryChange[]
  readonly segments: ReadonlyMap<number, SegmentState>
}

/** What one entry adds to the LMDB file, by and large, and what a commit adds at the least, in bytes. */
const ENTRY_GROWTH = 256
const COMMIT_GROWTH = 64 * 1024

type Table = Database<Buffer, Uint8Array>

interface Opened {
  readonly index: Table | undefined
  readonly segments: Table | undefined
  readonly tables: Record<TableName, Table | undefined>
  readonly condemned: Condemned
  readonly missing: readonly string[]
}

/** Tables that came later: a store that is open for reading need not have them. */
const LATER: ReadonlySet<string> = new Set(['roots', 'used', 'uploads', 'condemned', 'collector'])

/** What a transaction of the garbage collector changes. */
export interface CollectorTables {
  readonly index: Table
  readonly segments: Table
  readonly entries: Readonly<Record<TableName, Table | undefined>>
  readonly condemned: Condemned
}

/** The LMDB environment: the index of content, the state of the segments, and the tables. */
export class Tables {
  readonly #path: string
  readonly #root!: RootDatabase<Buffer, Uint8Array>
  readonly #index: Table
  readonly #segments: Table
  readonly #tables: Opened['tables']
  readonly condemned: Condemned
  readonly #walks = new Set<Iterator<unknown>>()
  #mutexes: MutexLock | undefined
  readonly #room: TableRoom
  readonly #pages: MappedPages
  #failure: EmbeddedStoreError | undefined
  #closed = false

  /** @param beside another instance of this process has the tables open, and outlives this one */
  constructor(path: string, readOnly: boolean, { beside = false, mapSize = MAP_SIZE } = {}) {
    this.#path = path
    this.#room = new TableRoom(path)
    this.#pages = new MappedPages(join(path, 'data.mdb'))
    const writable = readOnly ? prepareReading(path) : prepareTables(path)
    checkDataFile(path)
    try {
      // LMDB (lmdb 3.5.6) waits for whoever opens it first to make its lock file ready. Where that one is killed meanwhile, it
      // goes on with what is in there, and loses what was committed. So nobody opens it while somebody else does.
      this.#root = oneAtATime(join(path, 'data.mdb'), () => {
        const root = open<Buffer, Uint8Array>({
          path,
          noSubdir: false,
          encoding: 'binary',
          keyEncoding: 'binary',
          maxDbs: 16,
          maxReaders: 1022,
          mapSize,
          noMemInit: true,
          // All who open an environment in one process share it: a reader must not keep the others from writing.
          readOnly: !writable,
          // With overlapping syncs a commit shows itself before it is on disk, and stays even if it never gets there.
          overlappingSync: false,
          // Batching by event turn makes promises of its own that nobody can catch when a commit fails.
          eventTurnBatching: false,
        })
        if (!beside) this.#mutexes = MutexLock.take(join(path, 'lock.mdb'))
        return root
      })
      let opened = this.#openAll(false)
      // In one transaction: each of its own would wait for the disk. Where nothing is missing there is none at all: it would
      // wait for another instance's, which may be waiting for this thread.
      if (!readOnly && opened.missing.length > 0) {
        this.#checkWritable(opened.missing.length, 0)
        opened = this.#root.transactionSync(() => this.#openAll(true))
      }
      const lost = opened.missing.find((name) => !LATER.has(name))
      if (lost !== undefined) {
        throw new EmbeddedStoreError('not-a-store', `the tables at ${path} have no table ${lost}`)
      }
      this.#index = opened.index!
      this.#segments = opened.segments!
      this.#tables = opened.tables
      this.condemned = opened.condemned
    } catch (error) {
      void this.close()
      throw wrapError(error, `open the tables at ${path}`)
    }
  }

  #openAll(create: boolean): Opened {
    const missing: string[] = []
    const table = (name: string): Table | undefined => {
      const options = { name, create, encoding: 'binary', keyEncoding: 'binary' } as const
      const opened: Table | undefined = this.#root.openDB<Buffer, Uint8Array>(options)
      if (opened === undefined) missing.push(name)
      return opened
    }
    return {
      index: table('content'),
      segments: table('segments'),
      tables: Object.fromEntries(TABLES.map((name) => [name, table(name)])) as Opened['tables'],
      condemned: new Condemned(table('condemned'), table('collector')),
      missing,
    }
  }

  /** The location of some content, or undefined. */
  locate(key: Uint8Array): Location | undefined {
    const value = this.#get(this.#index, key)
    return value === undefined ? undefined : decodeLocation(value)
  }

  hasContent(key: Uint8Array): boolean {
    return this.#get(this.#index, key) !== undefined
  }

  get(table: TableName, key: Uint8Array): Uint8Array | undefined {
    const value = this.#get(this.#tables[table], key)
    return value === undefined ? undefined : Uint8Array.prototype.slice.call(value, 0, value.length)
  }

  has(table: TableName, key: Uint8Array): boolean {
    return this.#get(this.#tables[table], key) !== undefined
  }

  /** The result is LMDB's own buffer, good until the next read. */
  #get(table: Table | undefined, key: Uint8Array): Uint8Array | undefined {
    this.checkOpen()
    try {
      return table?.getBinaryFast(key)
    } catch (error) {
      throw wrapError(error, `read the tables at ${this.#path}`)
    }
  }

  *entries(table: TableName, from?: Uint8Array): Generator<readonly [Uint8Array, Uint8Array]> {
    const options = from === undefined ? { snapshot: false } : { start: from, snapshot: false }
    const range = this.#tables[table]?.getRange(options) ?? []
    for (const { key, value } of this.#walk(range)) yield [key, value]
  }

  /** The keys of a table in bytewise order. */
  keys(table: TableName): Generator<Uint8Array> {
    return this.#walk(this.#tables[table]?.getKeys({ snapshot: false }) ?? [])
  }

  /** As {@link get}, in LMDB's own buffer: good until the next read. */
  view(table: TableName, key: Uint8Array): Uint8Array | undefined {
    this.#pages.read()
    const value = this.#get(this.#tables[table], key)
    // LMDB's buffer is longer than the value.
    return value === undefined ? undefined : Uint8Array.prototype.subarray.call(value, 0, value.length)
  }

  /** Keys and locations of all content, in bytewise order. */
  *locations(): Generator<readonly [Uint8Array, Location]> {
    for (const { key, value } of this.#walk(this.#index.getRange({ snapshot: false }))) {
      const location = decodeLocation(value)
      if (location !== undefined) yield [key, location]
    }
  }

  contentKeys(): Generator<Uint8Array> {
    return this.#walk(this.#index.getKeys({ snapshot: false }))
  }

  /** LMDB must not be closed under an open cursor, so {@link close} ends the walks that stand still somewhere. */
  *#walk<T>(range: Iterable<T>): Generator<T> {
    this.checkOpen()
    const walk = range[Symbol.iterator]()
    this.#walks.add(walk)
    try {
      for (let next = walk.next(); next.done !== true; next = walk.next()) {
        yield next.value
        this.checkOpen()
        this.#pages.read()
      }
    } finally {
      if (this.#walks.delete(walk)) walk.return?.()
    }
  }

  count(table: TableName | 'content'): number {
    this.checkOpen()
    const stats = (table === 'content' ? this.#index : this.#tables[table])?.getStats() as
      | { entryCount: number }
      | undefined
    return stats?.entryCount ?? 0
  }

  segmentState(id: number): SegmentState | undefined {
    const value = this.#get(this.#segments, segmentKey(id))
    return value === undefined ? undefined : decodeSegmentState(value)
  }

  segmentStates(): Map<number, SegmentState> {
    this.checkOpen()
    const states = new Map<number, SegmentState>()
    for (const { key, value } of this.#segments.getRange({}))
      states.set(segmentOfKey(key), decodeSegmentState(value))
    return states
  }

  /**
   * Publishes everything in one transaction, but entries whose condition does not hold. Resolves once it is on disk and
   * visible to all processes; if it rejects, nothing of it is.
   */
  async publish(change: TablesChange): Promise<void> {
    let bytes = 0
    for (const { value } of change.entries) bytes += value?.length ?? 0
    this.#checkWritable(change.content.size + change.entries.length, bytes)
    try {
      const write = () => this.#write(change)
      // What has to be compared first is written by the transaction itself; all else is quicker handed over as a whole.
      const compares = change.entries.some(({ condition }) => condition !== undefined)
      await (compares ? this.#root.transaction(write) : this.#root.batch(write))
    } catch (error) {
      throw this.#failed(await commitError(error))
    }
  }

  #write({ content, entries, segments }: TablesChange): void {
    // Who may lean on what is condemned began before it was; for the others this snapshot shows it.
    const lift = this.condemned.any
    for (const [text, location] of content) this.#point(keyOfText(text), location, lift)
    for (const { table, key, value, condition } of entries) {
      if (condition !== undefined && !sameEntry(this.get(table, key), condition.expected)) {
        condition.violated = true
      } else if (value === undefined) void this.#tables[table]?.remove(key)
      else {
        void this.#tables[table]?.put(key, value as Buffer)
        if (lift && isCondemnable(table)) this.condemned.lift(table, key)
      }
    }
    for (const [id, state] of segments)
      void this.#segments.put(segmentKey(id), encodeSegmentState(state) as Buffer)
  }

  #point(key: Uint8Array, location: Uint8Array, lift: boolean): void {
    void this.#index.put(key, location as Buffer)
    if (lift) this.condemned.lift('content', key)
  }

  /**
   * One transaction of the garbage collector: what `change` does with the tables given to it, on disk and visible to all
   * processes when this resolves. It is never a synchronous one, which lmdb would put into the transaction that another
   * thread is at work on.
   */
  async transact<T>(entries: number, change: (tables: CollectorTables) => T): Promise<T> {
    this.#checkWritable(entries, 0, 0)
    const tables = {
      index: this.#index,
      segments: this.#segments,
      entries: this.#tables,
      condemned: this.condemned,
    }
    try {
      return await this.#root.transaction(() => change(tables))
    } catch (error) {
      throw this.#failed(await commitError(error))
    }
  }

  /** Copies the LMDB file, as it is at one moment, into an empty folder. Nobody waits for it. */
  async copyTo(folder: string): Promise<void> {
    this.checkOpen()
    await this.#root.backup(folder, false)
  }

  /** Lets the next read see what other processes have published since. */
  refresh(): void {
    if (!this.#closed) this.#root.resetReadTxn()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const walk of this.#walks) walk.return?.()
    this.#walks.clear()
    // There is none where it could not be opened.
    await this.#root?.close().catch(() => undefined)
    this.#room.close()
    this.#mutexes?.[Symbol.dispose]()
  }

  #checkWritable(entries: number, valueBytes: number, kept = RESERVE): void {
    this.checkOpen()
    if (this.#failure !== undefined) throw this.#failure
    try {
      this.#room.make(COMMIT_GROWTH + entries * ENTRY_GROWTH + 2 * valueBytes, kept)
    } catch (error) {
      throw wrapError(error, `write the tables at ${this.#path}`)
    }
  }

  #failed(error: unknown): EmbeddedStoreError {
    const wrapped = wrapError(error, `write the tables at ${this.#path}`)
    const full = wrapped.code === 'io' && freeBytes(this.#path) < COMMIT_GROWTH
    const result = full ? new EmbeddedStoreError('no-space', wrapped.message, { cause: error }) : wrapped
    try {
      // An environment that failed for good refuses even this, and would leave later commits waiting for ever.
      this.#root.transactionSync(() => undefined)
    } catch (cause) {
      this.#failure = new EmbeddedStoreError(
        'io',
        `the tables at ${this.#path} failed: open the store again`,
        {
          cause,
        },
      )
    }
    return result
  }

  /** @throws {@link EmbeddedStoreError} `closed` */
  checkOpen(): void {
    if (this.#closed) throw new EmbeddedStoreError('closed', 'the store is closed')
  }
}

function isCondemnable(table: TableName): table is TableName & Condemnable {
  return table === 'directories' || table === 'blobs' || table === 'pathInfos'
}

function sameEntry(actual: Uint8Array | undefined, expected: Uint8Array | undefined): boolean {
  if (actual === undefined || expected === undefined) return actual === expected
  return Buffer.compare(actual, expected) === 0
}

/** The error behind a failed commit: lmdb hands it over as a promise that rejects. */
async function commitError(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error
  const reason = Promise.resolve(error.commitError).then(
    () => error,
    (cause: unknown) => cause,
  )
  return Promise.race([reason, sleep(1000, error, { ref: false })])
}
