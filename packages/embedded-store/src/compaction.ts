import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { CollectorContext } from './collector.js'
import { decodeEntry } from './entry-record.js'
import { EmbeddedStoreError, wrapError } from './errors.js'
import { tryLock } from './file-lock.js'
import { expandInto, RECORD_HEADER, RecordKind } from './record.js'
import { SEGMENT_HEADER, segmentName } from './segment.js'
import { type ScannedRecord, SegmentScan } from './segment-scan.js'
import { SegmentWriter } from './segment-writer.js'
import {
  decodeLocation,
  encodeLocation,
  encodeSegmentState,
  isRemoved,
  REMOVED_SEGMENT,
  type SegmentState,
  segmentKey,
} from './table-values.js'
import type { Tables } from './tables.js'
import { cutTails } from './tails.js'

/** How much of a segment is needed. Lengths are in bytes. */
export interface SegmentUse {
  readonly segment: number
  readonly length: number
  /** Records of content that the index points to. */
  readonly content: number
  /** How many these are. */
  readonly records: number
  /** Records of tables that are needed, as the last compaction found; undefined where none has looked. */
  readonly needed: number | undefined
  readonly sealed: boolean
}

/** Options of {@link compactSegments}. */
export interface CompactionOptions {
  /** Segments of which less than this share is needed are compacted, 0 to 1. Default: 0.5. */
  readonly share?: number | undefined
  /** Compact no more once so many bytes are free again. Default: no limit. */
  readonly maxFreed?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What became of one segment. Lengths are in bytes. */
export interface Compaction {
  readonly segment: number
  /** Length of the file that is gone; 0 where it stays. */
  readonly removed: number
  /** Length of what was copied out of it. */
  readonly copied: number
  /** Whether there is damage in it: then it stays as it is, for `neve verify` to tell and mend. */
  readonly damaged: boolean
}

/** So many moves go into one transaction. */
const TRANSACTION = 5000
/** So much is gathered for one write, in bytes. */
const WRITE = 4 * 1024 * 1024

interface Move {
  readonly key: Uint8Array
  readonly from: number
  readonly segment: number
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
}

/** Looks through the index once. */
export function segmentUses(tables: Tables): SegmentUse[] {
  const content = new Map<number, { bytes: number; records: number }>()
  for (const [, { segment, storedLength }] of tables.locations()) {
    const sum = content.get(segment) ?? { bytes: 0, records: 0 }
    sum.bytes += RECORD_HEADER + storedLength
    sum.records++
    content.set(segment, sum)
  }
  const uses: SegmentUse[] = []
  for (const [segment, state] of tables.segmentStates()) {
    if (isRemoved(state)) continue
    const { bytes, records } = content.get(segment) ?? { bytes: 0, records: 0 }
    const { committed: length, sealed, needed } = state
    uses.push({ segment, length, content: bytes, records, needed, sealed })
  }
  return uses
}

export async function* compactSegments(
  context: CollectorContext,
  { share = 0.5, maxFreed = Number.POSITIVE_INFINITY, signal }: CompactionOptions = {},
): AsyncGenerator<Compaction, void, undefined> {
  const { tables, segments } = context
  removeFiles(context)
  tables.refresh()
  const little = segmentUses(tables)
    .filter(({ length, content, needed }) => length > 0 && content + (needed ?? 0) < share * length)
    // What gives most for the least copying comes first: on a full disk there is no room to copy much.
    .sort((a, b) => a.content / a.length - b.content / b.length)
  let freed = 0
  let full: unknown
  for (let left = little; left.length > 0; ) {
    const tooLarge: SegmentUse[] = []
    for (const use of left) {
      signal?.throwIfAborted()
      if (freed >= maxFreed) return
      const descriptor = await own(context, use)
      if (descriptor === undefined) continue
      try {
        const done = await new SegmentCompaction(context, use.segment, descriptor).run(share)
        freed += Math.max(0, done.removed - done.copied)
        yield done
      } catch (error) {
        const wrapped = wrapError(error, `compact ${join(segments, segmentName(use.segment))}`)
        if (wrapped.code !== 'no-space') throw wrapped
        full = wrapped
        tooLarge.push(use)
      } finally {
        closeSync(descriptor)
      }
    }
    // Others may have made the room.
    if (tooLarge.length === left.length) throw full
    left = tooLarge
  }
}

/** Removes the files of segments that are no more: whoever made them so was interrupted. */
function removeFiles({ tables, segments }: CollectorContext): void {
  tables.refresh()
  for (const [id, state] of tables.segmentStates()) {
    if (!isRemoved(state)) continue
    try {
      unlinkSync(join(segments, segmentName(id)))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
}

/** Opens a segment that nobody appends to, and sees to it that nobody does. */
async function own(
  { tables, segments }: CollectorContext,
  { segment, length }: SegmentUse,
): Promise<number | undefined> {
  let descriptor: number
  try {
    descriptor = openSync(join(segments, segmentName(segment)), 'r+')
  } catch {
    return undefined
  }
  let isOwned = false
  try {
    if (tryLock(descriptor, 'exclusive') !== true) return undefined
    tables.refresh()
    const state = tables.segmentState(segment)
    // What was appended since may be what was copied out of others.
    if (state?.committed !== length) return undefined
    // Whoever died here may have gone on elsewhere, with what leans on what goes with this file.
    if (fstatSync(descriptor).size > length) cutTails(segments, tables)
    if (!state.sealed) await setState(tables, segment, { ...state, sealed: true })
    isOwned = true
    return descriptor
  } finally {
    if (!isOwned) closeSync(descriptor)
  }
}

function setState(tables: Tables, segment: number, state: SegmentState): Promise<void> {
  return tables.transact(1, (change) => {
    change.segments.putSync(segmentKey(segment), encodeSegmentState(state) as Buffer)
  })
}

/** The compaction of one segment, which is sealed. */
class SegmentCompaction {
  readonly #context: CollectorContext
  readonly #segment: number
  readonly #descriptor: number
  #gathered: Uint8Array[] = []
  #gatheredLength = 0
  #copied = 0
  #needed = 0
  #moves: Move[] = []
  #out: SegmentWriter | undefined

  constructor(context: CollectorContext, segment: number, descriptor: number) {
    this.#context = context
    this.#segment = segment
    this.#descriptor = descriptor
  }

  async run(share: number): Promise<Compaction> {
    const { tables, segments } = this.#context
    const segment = this.#segment
    const { committed } = tables.segmentState(segment)!
    const stays = { segment, removed: 0, copied: 0 }
    const { sound, content } = this.#measure(committed)
    if (!sound) return { ...stays, damaged: true }
    if (content + this.#needed >= share * committed) {
      await setState(tables, segment, { ...tables.segmentState(segment)!, needed: this.#needed })
      return { ...stays, damaged: false }
    }
    try {
      for (const record of this.#records(committed)) {
        if (!this.#isNeeded(record)) continue
        this.#copy(record)
        if (this.#gatheredLength >= WRITE) await this.#write()
      }
      await this.#write()
      await this.#publish()
    } finally {
      // What was copied and not published is cut off.
      await this.#out?.close(tables)
    }
    await setState(tables, segment, REMOVED_SEGMENT)
    unlinkSync(join(segments, segmentName(segment)))
    return { segment, removed: committed, copied: this.#copied, damaged: false }
  }

  /** The records of the committed part, read anew. */
  *#records(committed: number): Generator<ScannedRecord, void, undefined> {
    this.#context.tables.refresh()
    for (const record of new SegmentScan(this.#descriptor, this.#segment, this.#context.salt).scan()) {
      if (record.offset >= committed) return
      yield record
    }
  }

  /** How much of it is needed, and whether it is sound from one end to the other. */
  #measure(committed: number): { readonly sound: boolean; readonly content: number } {
    let content = 0
    let end = SEGMENT_HEADER
    for (const record of this.#records(committed)) {
      if (record.offset !== end) return { sound: false, content }
      const length = RECORD_HEADER + record.payload.length
      end += length
      if (!this.#isNeeded(record)) continue
      if (record.kind === RecordKind.content) content += length
      else this.#needed += length
    }
    return { sound: end === committed, content }
  }

  #isNeeded(record: ScannedRecord): boolean {
    const { tables } = this.#context
    if (record.kind !== RecordKind.content) return isNeeded(tables, record)
    const now = tables.locate(record.key)
    return now?.segment === this.#segment && now.offset === record.offset
  }

  #copy(record: ScannedRecord): void {
    const { segments, tables, salt, segmentSize } = this.#context
    this.#out ??= SegmentWriter.acquire(segments, tables, salt, segmentSize)
    const { key, payload } = record
    const length = RECORD_HEADER + payload.length
    if (record.kind === RecordKind.content) {
      this.#moves.push({
        key: Uint8Array.prototype.slice.call(key),
        from: record.offset,
        segment: this.#out.id,
        offset: this.#out.length + this.#gatheredLength,
        storedLength: payload.length,
        rawLength: record.rawLength,
      })
    }
    const start = key.byteOffset - (RECORD_HEADER - key.length)
    this.#gathered.push(new Uint8Array(key.buffer.slice(start, start + length)))
    this.#gatheredLength += length
    this.#copied += length
  }

  async #write(): Promise<void> {
    if (this.#gatheredLength === 0) return
    const pieces = this.#gathered
    this.#gathered = []
    this.#gatheredLength = 0
    await this.#out!.append(pieces).written
  }

  /** Points the index to the copies, once these are on disk, where nobody has written the content again meanwhile. */
  async #publish(): Promise<void> {
    const { tables, segmentSize } = this.#context
    const out = this.#out
    if (out === undefined) return
    const synced = await out.sync(out.length >= segmentSize)
    // Almost all of it is needed: no compaction need look at it before its content is garbage.
    const state = { ...synced, needed: Math.min(this.#needed, synced.committed) }
    const from = this.#segment
    for (let at = 0; at === 0 || at < this.#moves.length; at += TRANSACTION) {
      const moves = this.#moves.slice(at, at + TRANSACTION)
      await tables.transact(moves.length, (change) => {
        change.segments.putSync(segmentKey(out.id), encodeSegmentState(state) as Buffer)
        for (const move of moves) {
          const value = change.index.getBinary(move.key)
          const now = value === undefined ? undefined : decodeLocation(value)
          if (now?.segment !== from || now.offset !== move.from) continue
          const location = encodeLocation(move.segment, move.offset, move.storedLength, move.rawLength)
          change.index.putSync(move.key, location as Buffer)
        }
      })
    }
  }
}

/**
 * Whether the record of a change is needed: it has set what the table has now, or it has removed what is not there and
 * may shadow older records elsewhere.
 */
function isNeeded(tables: Tables, record: ScannedRecord): boolean {
  const content = new Uint8Array(record.rawLength)
  if (!record.compressed) content.set(record.payload)
  else if (!expandInto(content, record.payload)) return false
  const entry = decodeEntry(record.kind, record.key, content)
  if (entry === undefined) {
    // A later version may know what it is.
    throw new EmbeddedStoreError('newer-version', `a record of kind ${record.kind} is not known`)
  }
  const now = tables.view(entry.table, entry.key)
  if (now === undefined || entry.value === undefined) return now === undefined && entry.value === undefined
  return Buffer.compare(now, entry.value) === 0
}
