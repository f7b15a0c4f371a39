import { type Database, open, type RootDatabase } from 'lmdb'
import { wrapError } from './errors.js'
import { readU32, writeU32 } from './record.js'

/** The tables that hold more than the engine's own bookkeeping. Their keys and values are bytes. */
export const TABLES = ['blobs', 'directories', 'pathInfos', 'nars', 'files'] as const
/**
 * - `blobs`: chunk lists of blobs that were cut, by digest
 * - `directories`: encoded directories, by digest
 * - `pathInfos`: encoded path infos, by the digest of the store path
 * - `nars`: size and SHA-256 of NARs, by root node; may be lost
 * - `files`: what was seen of files on disk at their last import; may be lost
 */
export type TableName = (typeof TABLES)[number]

/** Where the record of some content lies. Lengths and offsets are in bytes. */
export interface Location {
  readonly segment: number
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
}

/** What is known of a segment file: how far it is committed, and whether anything may still be appended. */
export interface SegmentState {
  readonly committed: number
  readonly sealed: boolean
}

type Table = Database<Buffer, Uint8Array>

/** The LMDB environment: the index of content, the state of the segments, and the tables. */
export class Tables {
  readonly #root: RootDatabase<Buffer, Uint8Array>
  readonly #index: Table
  readonly #segments: Table
  readonly #tables: Record<TableName, Table>

  constructor(path: string, readOnly: boolean) {
    try {
      this.#root = open<Buffer, Uint8Array>({
        path,
        noSubdir: false,
        encoding: 'binary',
        keyEncoding: 'binary',
        maxDbs: 16,
        maxReaders: 1022,
        mapSize: 2 ** 36,
        noMemInit: true,
        readOnly,
      })
      const table = (name: string): Table =>
        this.#root.openDB<Buffer, Uint8Array>({ name, encoding: 'binary', keyEncoding: 'binary' })
      this.#index = table('content')
      this.#segments = table('segments')
      this.#tables = Object.fromEntries(TABLES.map((name) => [name, table(name)])) as Record<TableName, Table>
    } catch (error) {
      throw wrapError(error, `open the tables at ${path}`)
    }
  }

  /** The location of some content, or undefined. */
  locate(key: Uint8Array): Location | undefined {
    const value = this.#index.getBinaryFast(key)
    if (value === undefined || value.length !== 16) return undefined
    return {
      segment: readU32(value, 0),
      offset: readU32(value, 4),
      storedLength: readU32(value, 8),
      rawLength: readU32(value, 12),
    }
  }

  hasContent(key: Uint8Array): boolean {
    return this.#index.getBinaryFast(key) !== undefined
  }

  get(table: TableName, key: Uint8Array): Uint8Array | undefined {
    const value = this.#tables[table].getBinaryFast(key)
    return value === undefined ? undefined : Uint8Array.prototype.slice.call(value, 0, value.length)
  }

  has(table: TableName, key: Uint8Array): boolean {
    return this.#tables[table].getBinaryFast(key) !== undefined
  }

  *entries(table: TableName, from?: Uint8Array): Iterable<readonly [Uint8Array, Uint8Array]> {
    const range = this.#tables[table].getRange(
      from === undefined ? { snapshot: false } : { start: from, snapshot: false },
    )
    for (const { key, value } of range) yield [key, value]
  }

  count(table: TableName | 'content'): number {
    const stats = (table === 'content' ? this.#index : this.#tables[table]).getStats() as {
      entryCount: number
    }
    return stats.entryCount
  }

  *contentKeys(): Iterable<Uint8Array> {
    for (const key of this.#index.getKeys({ snapshot: false })) yield key
  }

  segmentState(id: number): SegmentState | undefined {
    const value = this.#segments.getBinary(segmentKey(id))
    return value === undefined ? undefined : decodeState(value)
  }

  segmentStates(): Map<number, SegmentState> {
    const states = new Map<number, SegmentState>()
    for (const { key, value } of this.#segments.getRange({})) {
      states.set(Buffer.from(key).readUInt32BE(0), decodeState(value))
    }
    return states
  }

  /** Takes the next free segment number for this process. Durable with the first commit that follows. */
  allocateSegment(atLeast: number): number {
    return this.#root.transactionSync(() => {
      let last = 0
      for (const key of this.#segments.getKeys({ reverse: true, limit: 1 }))
        last = Buffer.from(key).readUInt32BE(0)
      const id = Math.max(last + 1, atLeast)
      this.#segments.putSync(segmentKey(id), encodeState({ committed: 0, sealed: false }))
      return id
    })
  }

  /** Publishes everything in one transaction and returns once it is on disk. */
  async publish(change: TablesChange): Promise<void> {
    let last: Promise<unknown> | undefined
    const committed = this.#root.batch(() => {
      for (const [key, value] of change.content) last = this.#index.put(key, value as Buffer)
      for (const [table, key, value] of change.entries) {
        last =
          value === undefined
            ? this.#tables[table].remove(key)
            : this.#tables[table].put(key, value as Buffer)
      }
      for (const [id, state] of change.segments) last = this.#segments.put(segmentKey(id), encodeState(state))
    })
    await committed
    await last
    // A commit may settle before its flush: only this promise says that the disk has it.
    await this.#root.flushed
  }

  /** Removes everything that can be told from the segments again. */
  async clear(): Promise<void> {
    for (const table of [this.#index, this.#segments, ...Object.values(this.#tables)])
      await table.clearAsync()
  }

  /** Lets the next read see what other processes have published since. */
  refresh(): void {
    this.#root.resetReadTxn()
  }

  async close(): Promise<void> {
    await this.#root.close()
  }
}

/** What one commit publishes. */
export interface TablesChange {
  readonly content: readonly (readonly [key: Uint8Array, value: Uint8Array])[]
  readonly entries: readonly (readonly [table: TableName, key: Uint8Array, value: Uint8Array | undefined])[]
  readonly segments: ReadonlyMap<number, SegmentState>
}

/** The stored form of a {@link Location}. */
export function encodeLocation(
  segment: number,
  offset: number,
  storedLength: number,
  rawLength: number,
): Uint8Array {
  const value = Buffer.allocUnsafe(16)
  writeU32(value, 0, segment)
  writeU32(value, 4, offset)
  writeU32(value, 8, storedLength)
  writeU32(value, 12, rawLength)
  return value
}

function segmentKey(id: number): Uint8Array {
  const key = Buffer.alloc(4)
  key.writeUInt32BE(id)
  return key
}

function encodeState(state: SegmentState): Buffer {
  const value = Buffer.alloc(8)
  value.writeUInt32LE(state.committed, 0)
  value[4] = state.sealed ? 1 : 0
  return value
}

function decodeState(value: Uint8Array): SegmentState {
  return { committed: readU32(value, 0), sealed: value[4] === 1 }
}
