import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open as openLmdb, type RootDatabase } from 'lmdb'
import { keyText } from './batch.js'
import { decodeEntry, type EntryChange } from './entry-record.js'
import { wrapError } from './errors.js'
import { type StoreLayout, syncFolder } from './format.js'
import { expandInto, RecordKind, readU32, writeU32 } from './record.js'
import { segmentIds, segmentName } from './segment.js'
import { type ScannedRecord, SegmentScan } from './segment-scan.js'
import { encodeLocation } from './table-values.js'
import { Tables } from './tables.js'
import { MAP_SIZE, prepareTables } from './tables-file.js'

/** What {@link EmbeddedStore.rebuild} found. */
export interface RebuildReport {
  readonly segments: number
  readonly records: number
  /** Bytes that belong to no sound record: torn tails and damage. */
  readonly skippedBytes: number
}

/** So much goes into one transaction, in entries and in bytes. */
const TRANSACTION_ENTRIES = 20_000
const TRANSACTION_BYTES = 32 * 1024 * 1024

/** Whether the tables of a store are gone while segments are there. */
export function tablesAreLost(layout: StoreLayout): boolean {
  const size = statSync(join(layout.tables, 'data.mdb'), { throwIfNoEntry: false })?.size ?? 0
  return size === 0 && existsSync(layout.segments) && segmentIds(layout.segments).length > 0
}

/**
 * Makes the tables anew from the segments, beside the old ones, and then takes their place: whatever interrupts it, the
 * store has either the old tables, or the new ones, or none and is made anew when it is opened. The caller holds the
 * store's exclusive lock.
 */
export async function rebuildTables(layout: StoreLayout, salt: number): Promise<RebuildReport> {
  try {
    rmSync(layout.newTables, { recursive: true, force: true })
    const report = await fillTables(layout, salt)
    rmSync(join(layout.newTables, 'lock.mdb'), { force: true })
    syncFolder(layout.newTables)
    rmSync(layout.tables, { recursive: true, force: true })
    renameSync(layout.newTables, layout.tables)
    syncFolder(layout.root)
    return report
  } catch (error) {
    throw wrapError(error, `make the tables of ${layout.root} anew`)
  }
}

async function fillTables(layout: StoreLayout, salt: number): Promise<RebuildReport> {
  const tables = new Tables(layout.newTables, false)
  const scratch = join(layout.newTables, 'scratch')
  let publisher: Publisher | undefined
  const ids = segmentIds(layout.segments)
  let records = 0
  let skippedBytes = 0
  try {
    publisher = new Publisher(tables, scratch)
    for (const id of ids) {
      const descriptor = openSync(join(layout.segments, segmentName(id)), 'r')
      try {
        const scan = new SegmentScan(descriptor, id, salt)
        for (const record of scan.scan()) {
          publisher.add(id, record)
          if (publisher.full) await publisher.publish()
        }
        await publisher.seal(id, scan.end)
        records += scan.records
        skippedBytes += scan.skipped
      } finally {
        closeSync(descriptor)
      }
    }
  } finally {
    await publisher?.close()
    await tables.close()
    rmSync(scratch, { recursive: true, force: true })
  }
  return { segments: ids.length, records, skippedBytes }
}

/** Gathers what the scans find into transactions. Of several changes of one entry, the latest counts. */
class Publisher {
  readonly #tables: Tables
  // The numbers of the changes published so far: more than memory should hold in a large store.
  readonly #published: RootDatabase<Buffer, Uint8Array>
  #sequences = new Map<string, number>()
  #content = new Map<string, Uint8Array>()
  #entries: EntryChange[] = []
  #bytes = 0

  constructor(tables: Tables, scratch: string) {
    this.#tables = tables
    prepareTables(scratch)
    this.#published = openLmdb<Buffer, Uint8Array>({
      path: scratch,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      mapSize: MAP_SIZE,
      overlappingSync: false,
      noSync: true,
    })
  }

  get full(): boolean {
    const entries = this.#content.size + this.#entries.length
    return entries >= TRANSACTION_ENTRIES || this.#bytes >= TRANSACTION_BYTES
  }

  add(segment: number, record: ScannedRecord): void {
    if (record.kind === RecordKind.content) {
      const { offset, payload, rawLength } = record
      this.#content.set(keyText(record.key), encodeLocation(segment, offset, payload.length, rawLength))
      return
    }
    const key = Uint8Array.prototype.slice.call(record.key)
    const content = new Uint8Array(record.rawLength)
    if (!record.compressed) content.set(record.payload)
    else if (!expandInto(content, record.payload)) return
    const entry = decodeEntry(record.kind, key, content)
    if (entry === undefined) return
    const name = Buffer.concat([Uint8Array.of(record.kind), key])
    const known = this.#sequences.get(name.toString('latin1')) ?? this.#publishedSequence(name)
    if (known !== undefined && known > entry.sequence) return
    this.#sequences.set(name.toString('latin1'), entry.sequence)
    this.#entries.push({ table: entry.table, key: entry.key, value: entry.value })
    this.#bytes += content.length
  }

  async publish(
    segments: ReadonlyMap<number, { committed: number; sealed: boolean }> = new Map(),
  ): Promise<void> {
    await this.#tables.publish({ content: this.#content, entries: this.#entries, segments })
    const sequences = this.#sequences
    this.#published.transactionSync(() => {
      for (const [name, sequence] of sequences) {
        this.#published.putSync(Buffer.from(name, 'latin1'), encodeSequence(sequence) as Buffer)
      }
    })
    this.#sequences = new Map()
    this.#content = new Map()
    this.#entries = []
    this.#bytes = 0
  }

  /** Publishes the rest of a segment. It is never appended to again. */
  async seal(segment: number, committed: number): Promise<void> {
    await this.publish(new Map([[segment, { committed, sealed: true }]]))
  }

  async close(): Promise<void> {
    await this.#published.close()
  }

  #publishedSequence(name: Uint8Array): number | undefined {
    const value = this.#published.getBinary(name)
    return value === undefined ? undefined : readU32(value, 0) + readU32(value, 4) * 2 ** 32
  }
}

function encodeSequence(sequence: number): Uint8Array {
  const value = new Uint8Array(8)
  writeU32(value, 0, sequence % 2 ** 32)
  writeU32(value, 4, Math.floor(sequence / 2 ** 32))
  return value
}
