import { EmbeddedStoreError } from './errors.js'

/** How an embedded store is opened. */
export interface EmbeddedStoreOptions {
  /** Make the store where there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean
  /** Refuse every write. Default: false. */
  readonly readOnly?: boolean
  /** A segment is sealed once it has this length, in bytes. Default: 256 MiB. */
  readonly segmentSize?: number
  /**
   * Another instance of this process has the store open and outlives this one, in another thread: its lock is enough.
   * Default: false.
   */
  readonly beside?: boolean
  /**
   * Gets the keys of path infos that are used, each once an hour, where `readOnly` keeps them from being recorded: for who
   * has the store open for writing elsewhere.
   */
  readonly onUse?: ((key: Uint8Array) => void) | undefined
}

/** Offsets in a segment must fit in 32 bits, and the last record may start just before the end. */
const MAX_SEGMENT_SIZE = 2 ** 31

export function checkSegmentSize(size: number | undefined): void {
  if (size === undefined || (Number.isSafeInteger(size) && size > 0 && size <= MAX_SEGMENT_SIZE)) return
  throw new EmbeddedStoreError('invalid-input', `segmentSize must be 1 to ${MAX_SEGMENT_SIZE}, it is ${size}`)
}
