import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStoreError, wrapError } from './errors.js'
import { tryLock } from './file-lock.js'
import type { StoreLayout } from './format.js'
import { checksumHolds, expandInto, parseHeader, RECORD_HEADER, RecordKind } from './record.js'
import { isSegmentHeader, SEGMENT_HEADER, segmentId, segmentName } from './segment.js'
import { encodeLocation, type SegmentState, type TableName, Tables } from './tables.js'

/** What {@link EmbeddedStore.rebuild} found. */
export interface RebuildReport {
  readonly segments: number
  readonly records: number
  /** Bytes that belong to no sound record: torn tails and damage. */
  readonly skippedBytes: number
}

const TABLE_OF_KIND = new Map<number, TableName>([
  [RecordKind.blobs, 'blobs'],
  [RecordKind.directories, 'directories'],
  [RecordKind.pathInfos, 'pathInfos'],
])
/** The keys of path infos are digests of store paths: the rest of the record's key is padding. */
const PATH_INFO_KEY = 20
const BLOCK = 4 * 1024 * 1024
const MAGIC = Buffer.from('NVR1', 'latin1')
const TRANSACTION = 20_000

/** Makes the tables anew from the segments. */
export async function rebuildTables(layout: StoreLayout, salt: number): Promise<RebuildReport> {
  const ids = readdirSync(layout.segments)
    .map(segmentId)
    .filter((id) => id !== undefined)
    .sort((a, b) => a - b)
  const open: number[] = []
  let tables: Tables | undefined
  try {
    for (const id of ids) {
      const descriptor = openSync(join(layout.segments, segmentName(id)), 'r')
      open.push(descriptor)
      if (tryLock(descriptor) === false) {
        throw new EmbeddedStoreError(
          'io',
          `${segmentName(id)} is being written: stop the other process first`,
        )
      }
    }
    rmSync(layout.tables, { recursive: true, force: true })
    tables = new Tables(layout.tables, false)
    let records = 0
    let skippedBytes = 0
    for (const [i, id] of ids.entries()) {
      const scan = new SegmentScan(open[i]!, id, salt)
      skippedBytes += await publishScan(scan, tables)
      records += scan.records
    }
    return { segments: ids.length, records, skippedBytes }
  } catch (error) {
    throw wrapError(error, `make the tables of ${layout.root} anew`)
  } finally {
    for (const descriptor of open) closeSync(descriptor)
    await tables?.close()
  }
}

async function publishScan(scan: SegmentScan, tables: Tables): Promise<number> {
  let content: [Uint8Array, Uint8Array][] = []
  let entries: [TableName, Uint8Array, Uint8Array][] = []
  for (const record of scan.scan()) {
    if (record.kind === RecordKind.content) {
      const location = encodeLocation(scan.id, record.offset, record.stored.length, record.rawLength)
      content.push([record.key, location])
    } else {
      const table = TABLE_OF_KIND.get(record.kind)
      const value = Buffer.alloc(record.rawLength)
      if (table === undefined) continue
      if (record.compressed ? !expandInto(value, record.stored) : record.stored.copy(value) !== value.length)
        continue
      const key = table === 'pathInfos' ? record.key.subarray(0, PATH_INFO_KEY) : record.key
      entries.push([table, key, value])
    }
    if (content.length + entries.length >= TRANSACTION) {
      await tables.publish({ content, entries, segments: new Map() })
      content = []
      entries = []
    }
  }
  const state: SegmentState = { committed: scan.end, sealed: true }
  await tables.publish({ content, entries, segments: new Map([[scan.id, state]]) })
  return scan.skipped
}

interface ScannedRecord {
  readonly kind: number
  readonly key: Uint8Array
  readonly offset: number
  readonly rawLength: number
  readonly compressed: boolean
  readonly stored: Buffer
}

/** Walks the sound records of one segment, past damage. */
class SegmentScan {
  readonly id: number
  records = 0
  skipped = 0
  /** The end of the last sound record. */
  end = SEGMENT_HEADER
  readonly #descriptor: number
  readonly #salt: number
  #block = Buffer.alloc(BLOCK)
  #start = 0
  #length = 0

  constructor(descriptor: number, id: number, salt: number) {
    this.#descriptor = descriptor
    this.id = id
    this.#salt = salt
  }

  *scan(): Iterable<ScannedRecord> {
    const size = fstatSync(this.#descriptor).size
    if (
      !this.#has(0, SEGMENT_HEADER) ||
      !isSegmentHeader(this.#view(0, SEGMENT_HEADER), this.id, this.#salt)
    ) {
      this.skipped = size
      return
    }
    let at = SEGMENT_HEADER
    while (at + RECORD_HEADER <= size) {
      const record = this.#record(at, size)
      if (record === undefined) {
        const next = this.#findMagic(at + 1, size)
        this.skipped += next - at
        at = next
        continue
      }
      yield record
      this.records++
      at += RECORD_HEADER + record.stored.length
      this.end = at
    }
    this.skipped += size - Math.min(at, size)
  }

  #record(at: number, size: number): ScannedRecord | undefined {
    if (!this.#has(at, RECORD_HEADER)) return undefined
    const header = parseHeader(this.#view(at, RECORD_HEADER), 0)
    if (header === undefined) return undefined
    const length = RECORD_HEADER + header.storedLength
    if (at + length > size || !this.#has(at, length)) return undefined
    const bytes = this.#view(at, length)
    if (!checksumHolds(bytes, 0, header.storedLength, this.#salt)) return undefined
    return {
      kind: header.kind,
      key: Buffer.from(bytes.subarray(20, RECORD_HEADER)),
      offset: at,
      rawLength: header.rawLength,
      compressed: header.compressed,
      stored: bytes.subarray(RECORD_HEADER),
    }
  }

  #findMagic(from: number, size: number): number {
    for (let at = from; at < size; ) {
      if (!this.#has(at, Math.min(RECORD_HEADER, size - at))) return size
      const found = this.#block.subarray(at - this.#start, this.#length).indexOf(MAGIC)
      if (found >= 0) return at + found
      at = Math.max(at + 1, this.#start + this.#length - MAGIC.length + 1)
    }
    return size
  }

  #has(at: number, length: number): boolean {
    if (at >= this.#start && at + length <= this.#start + this.#length) return true
    if (this.#block.length < length) this.#block = Buffer.alloc(length)
    this.#start = at
    this.#length = 0
    while (this.#length < this.#block.length) {
      const read = readSync(
        this.#descriptor,
        this.#block,
        this.#length,
        this.#block.length - this.#length,
        at + this.#length,
      )
      if (read === 0) break
      this.#length += read
    }
    return this.#length >= length
  }

  #view(at: number, length: number): Buffer {
    return this.#block.subarray(at - this.#start, at - this.#start + length)
  }
}
