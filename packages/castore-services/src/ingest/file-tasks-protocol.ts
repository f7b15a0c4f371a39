import type { Slot } from '../concurrency/slot-threads.js'

/**
 * What the main thread and the workers of a filesystem ingestion say to each other. File contents never travel in
 * messages: they lie in shared slots that the main thread owns and lends out with every task.
 */

/** Files above this length are read piece by piece, in bytes. */
export const LARGE_FILE = 1024 * 1024
/** Room for the contents of one task, in bytes. */
export const SLOT_RAW = 2 * 1024 * 1024
/**
 * Room for the framed records of one task, in bytes: enough for the records of as many files as a task has, and for all
 * the chunks that {@link SLOT_RAW} can be cut into.
 */
export const SLOT_PACKED = SLOT_RAW + 256 * 1024
/** The most files of one task. */
export const FILES_PER_TASK = 256

/**
 * What to make of contents: records of an embedded store; zstd frames of chunks that are so long on average, in bytes;
 * or nothing, where a service takes them as they are.
 */
export type Framing = 'records' | number | undefined

/**
 * How the stream of a tree is written, that of a NAR: a node is `directory`, entries, `close`; or `regular` or
 * `executable`, content as a string, `close`; or `symlink`, its target as a string, `close`. An entry is `entry`, its
 * name as a string, `node`, a node, `close`. A string is its length (64 bits, little-endian) and its bytes, filled up
 * with zeros to a multiple of 8, of which the lengths of all these are multiples too.
 */
export interface TreeTokens {
  readonly directory: Uint8Array
  readonly entry: Uint8Array
  readonly node: Uint8Array
  readonly regular: Uint8Array
  readonly executable: Uint8Array
  readonly symlink: Uint8Array
  readonly close: Uint8Array
}

/** Steps of a walk: files are read whole, all is written as a stream where that is asked for. */
export interface ReadTreeTask {
  readonly type: 'read'
  /** See `tree-steps.ts`. */
  readonly steps: Uint8Array
  /** How many of the steps to skip: they were done by an earlier task. */
  readonly skip: number
  /** Where the walk is before these steps: see {@link FolderPath}. */
  readonly folder: Uint8Array
  readonly slot: Slot
  /** The stream is left in the slot's raw part, with the contents in their places. */
  readonly tokens: TreeTokens | undefined
  /** Whether files that look as at their last import may be taken from the record of that. */
  readonly useFileCache: boolean
  /** Whether the store has anything that the contents could be in already. */
  readonly lookUp: boolean
}

/** Contents that lie in a slot, to cut and frame. */
export interface PackFilesTask {
  readonly type: 'pack-files'
  readonly slot: Slot
  /** Of the {@link ReadTreeResult}. */
  readonly contents: Float64Array
  readonly digests: Uint8Array
  /** As for {@link ReadTreeTask}. */
  readonly lookUp: boolean
  readonly framing: Framing
}

/** One more piece of a large file, cut into whole chunks. */
export interface ScanTask {
  readonly type: 'scan'
  /** Which scan this is a piece of: two of the same file do not know of each other. */
  readonly scan: number
  readonly path: Uint8Array
  readonly slot: Slot
  /** Where the piece starts, or {@link ABANDON}. */
  readonly offset: number
  readonly framing: Framing
}

/** As the offset of a scan: no further piece is wanted. */
export const ABANDON = -1

/** Chunks, side by side from the start of a slot, to hash and frame. */
export interface PackTask {
  readonly type: 'pack'
  readonly slot: Slot
  readonly lengths: readonly number[]
  /** As for {@link ReadTreeTask}. */
  readonly lookUp: boolean
  readonly framing: Framing
}

export type Task = ReadTreeTask | PackFilesTask | ScanTask | PackTask

/** Why a file could not be taken. */
export interface FileFailure {
  readonly kind: 'read' | 'stat' | 'type' | 'changed'
  readonly path: Uint8Array
  readonly message: string
}

/** One chunk of a file. A chunk that is stored already has no record. */
export interface ChunkResult {
  readonly digest: Uint8Array
  readonly size: number
  /** Offset in the slot's packed part, or -1. */
  readonly recordOffset: number
  readonly storedLength: number
}

/** The results of a {@link ReadTreeTask}; see `tree-results.ts`. */
export interface ReadTreeResult {
  /** How many of the task's steps are done, those skipped included: the next did not fit, or failed. */
  readonly steps: number
  readonly runs: Float64Array
  /** The elements of the runs, one after the other. */
  readonly elements: Uint8Array
  /** Their entries in the records of their folders. */
  readonly entries: Uint8Array
  /** Contents that lie in the slot: length and offset in its raw part of each, in bytes. */
  readonly contents: Float64Array
  /** Their digests, one after the other. */
  readonly digests: Uint8Array
  /** Length of the stream in the slot, in bytes. */
  readonly streamed: number
  /** Why the next step could not be done. */
  readonly failure: FileFailure | undefined
}

/** What a file looked like when it was read. */
export interface FileSeen {
  readonly device: number
  readonly inode: number
  readonly modified: number
  readonly changed: number
}

export interface ScanResult {
  readonly lengths: readonly number[]
  readonly used: number
  /** Set with the last piece. */
  readonly end:
    | { readonly digest: Uint8Array; readonly executable: boolean; readonly seen: FileSeen | undefined }
    | undefined
  readonly failure: FileFailure | undefined
}

/** The results of a {@link PackFilesTask}; see `packed-files.ts`. */
export interface PackFilesResult {
  readonly chunks: Float64Array
  readonly chunkDigests: Uint8Array
}

export interface PackResult {
  readonly chunks: readonly ChunkResult[]
}

export type TaskResult = ReadTreeResult | PackFilesResult | ScanResult | PackResult
