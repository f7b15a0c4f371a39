import { EmbeddedStoreError } from './errors.js'
import { KEY_LENGTH, MAX_RECORD_CONTENT, RecordKind, readU32, writeU32 } from './record.js'

/** The tables that hold more than the engine's own bookkeeping. Their keys and values are bytes. */
export const TABLES = [
  'blobs',
  'directories',
  'pathInfos',
  'nars',
  'files',
  'roots',
  'used',
  'uploads',
] as const
/**
 * - `blobs`: chunk lists of blobs that were cut, by digest (32 bytes)
 * - `directories`: encoded directories, by digest (32 bytes)
 * - `pathInfos`: encoded path infos, by the digest of the store path (20 bytes)
 * - `nars`: size and SHA-256 of NARs, by root node; may be lost
 * - `files`: what was seen of files on disk at their last import; may be lost
 * - `roots`: what the garbage collector keeps, by the digest of a name (32 bytes)
 * - `used`: when path infos were last put or used, by the digest of the store path; may be lost
 * - `uploads`: what was put under names of the caller's, by the digest of a name (32 bytes)
 */
export type TableName = (typeof TABLES)[number]

/** A change of a table that waits to be published. */
export interface EntryChange {
  readonly table: TableName
  readonly key: Uint8Array
  /** Undefined: the entry is removed. */
  readonly value: Uint8Array | undefined
  /** Undefined: it is made whatever there is. */
  readonly condition?: EntryCondition | undefined
}

/** What an entry must be when a change of it is published. */
export interface EntryCondition {
  /** Undefined: there must be none. */
  readonly expected: Uint8Array | undefined
  /** Set when the change was left out, because the entry was another one. */
  violated: boolean
}

/** The longest key of a table that is not recorded in segments, in bytes. */
export const MAX_TABLE_KEY = 1024

/** The tables whose changes are also written to the segments, so that they can be made anew from there. */
const RECORDED: readonly { readonly table: TableName; readonly kind: RecordKind; readonly key: number }[] = [
  { table: 'blobs', kind: RecordKind.blobs, key: KEY_LENGTH },
  { table: 'directories', kind: RecordKind.directories, key: KEY_LENGTH },
  { table: 'pathInfos', kind: RecordKind.pathInfos, key: 20 },
  { table: 'roots', kind: RecordKind.roots, key: KEY_LENGTH },
  { table: 'uploads', kind: RecordKind.uploads, key: KEY_LENGTH },
]

const PREFIX = 9
const REMOVED = 0
const SET = 1

/** A change of a table as a segment records it. */
export interface RecordedEntry {
  readonly table: TableName
  readonly key: Uint8Array
  /** Later changes have greater numbers. */
  readonly sequence: number
  /** The value, or undefined where the entry was removed. */
  readonly value: Uint8Array | undefined
}

/**
 * Refuses keys and values that a table cannot hold. LMDB must never be the one to refuse: by then, half of a commit is
 * on its way.
 */
export function checkEntry(table: TableName, key: Uint8Array, value: Uint8Array | undefined): void {
  const recorded = RECORDED.find((one) => one.table === table)
  const fits =
    recorded === undefined ? key.length > 0 && key.length <= MAX_TABLE_KEY : key.length === recorded.key
  if (!fits) {
    const expected = recorded === undefined ? `1 to ${MAX_TABLE_KEY}` : `${recorded.key}`
    throw new EmbeddedStoreError(
      'invalid-input',
      `a key of table ${table} must have ${expected} bytes, this has ${key.length}`,
    )
  }
  const most = MAX_RECORD_CONTENT - PREFIX
  if (value !== undefined && value.length > most) {
    throw new EmbeddedStoreError(
      'invalid-input',
      `a value of table ${table} may have ${most} bytes, this has ${value.length}`,
    )
  }
}

/** The table of which a record tells a change. */
export function recordedTable(kind: number): TableName | undefined {
  return RECORDED.find((one) => one.kind === kind)?.table
}

/** The record of a change, or undefined for a table that segments do not record. */
export function encodeEntry(
  entry: RecordedEntry,
): { readonly kind: RecordKind; readonly key: Uint8Array; readonly content: Uint8Array } | undefined {
  const recorded = RECORDED.find((one) => one.table === entry.table)
  if (recorded === undefined) return undefined
  const key = new Uint8Array(KEY_LENGTH)
  key.set(entry.key)
  const content = new Uint8Array(PREFIX + (entry.value?.length ?? 0))
  writeU32(content, 0, entry.sequence % 2 ** 32)
  writeU32(content, 4, Math.floor(entry.sequence / 2 ** 32))
  content[8] = entry.value === undefined ? REMOVED : SET
  if (entry.value !== undefined) content.set(entry.value, PREFIX)
  return { kind: recorded.kind, key, content }
}

/** Reads the record of a change; undefined where it is none. Key and value are views. */
export function decodeEntry(kind: number, key: Uint8Array, content: Uint8Array): RecordedEntry | undefined {
  const recorded = RECORDED.find((one) => one.kind === kind)
  if (recorded === undefined || content.length < PREFIX) return undefined
  const sequence = readU32(content, 0) + readU32(content, 4) * 2 ** 32
  const value = content[8] === SET ? content.subarray(PREFIX) : undefined
  return { table: recorded.table, key: key.subarray(0, recorded.key), sequence, value }
}
