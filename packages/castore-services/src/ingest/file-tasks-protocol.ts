import type { Slot } from '../concurrency/slot-threads.js'

/**
 * What the main thread and the workers of a filesystem ingestion say to each other. File contents never travel in
 * messages: they lie in shared slots that the main thread owns and lends out with every task.
 */

/** Files above this length are read piece by piece, in bytes. */
export const LARGE_FILE = 1024 * 1024
/** Room for the contents of one task, in bytes. */
export const SLOT_RAW = 2 * 1024 * 1024
/** Room for the framed records of one task, in bytes. */
export const SLOT_PACKED = SLOT_RAW + 256 * 1024
/** The most files of one task. */
export const FILES_PER_TASK = 256

/**
 * What to make of contents: records of an embedded store; zstd frames of chunks that are so long on average, in bytes;
 * or nothing, where a service takes them as they are.
 */
export type Framing = 'records' | number | undefined

/** Files to read whole: paths as `directory NUL name NUL name NUL NUL directory NUL …`. */
export interface ReadFilesTask {
  readonly type: 'read'
  readonly paths: Uint8Array
  /** How many files of `paths` to skip: they were done by an earlier task. */
  readonly skip: number
  readonly slot: Slot
  /** Whether files that look as at their last import may be taken from the record of that. */
  readonly useFileCache: boolean
  /** Whether the store has anything that the contents could be in already. */
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
  /** As for {@link ReadFilesTask}. */
  readonly lookUp: boolean
  readonly framing: Framing
}

export type Task = ReadFilesTask | ScanTask | PackTask

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

/** The results of a {@link ReadFilesTask}, in the order of its files; see `file-results.ts`. */
export interface ReadFilesResult {
  readonly numbers: Float64Array
  readonly digests: Uint8Array
  /** Why the file after the last result could not be taken. */
  readonly failure: FileFailure | undefined
}

/** What became of one file: its contents lie in the slot, or it is large, or it is known from an earlier import. */
export interface FileResult {
  readonly size: number
  readonly executable: boolean
  readonly digest: Uint8Array | undefined
  /** Offset of the contents in the slot's raw part, or -1. */
  readonly rawOffset: number
  /** The chunks; a single one has the digest of the file. Empty where nothing needs to be stored. */
  readonly chunks: readonly ChunkResult[]
  readonly large: boolean
  /** For the record of this import: undefined where the file may still be changing. */
  readonly seen: FileSeen | undefined
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

export interface PackResult {
  readonly chunks: readonly ChunkResult[]
}

export type TaskResult = ReadFilesResult | ScanResult | PackResult
