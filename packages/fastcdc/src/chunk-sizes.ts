import { FastCdcError, type FastCdcErrorCode } from './errors.js'

/** Chunk sizes in bytes. Every chunk but the last is longer than or equal to `min` rounded down to even, and none is longer than `max`. */
export interface ChunkSizes {
  readonly min: number
  readonly average: number
  readonly max: number
}

/** The average chunk size that the reference system uses: 256 KiB. */
export const DEFAULT_AVERAGE = 262144

/**
 * The chunk sizes that belong to an average size in bytes: half of it at least, twice of it at most (spec 02
 * section 8.1).
 *
 * @param average whole bytes within 512 and 2097152; default 262144
 * @throws FastCdcError `average-out-of-range`
 */
export function chunkSizes(average: number = DEFAULT_AVERAGE): ChunkSizes {
  check('average-out-of-range', 'average chunk size', average, 512, 2097152)
  return Object.freeze({ min: Math.floor(average / 2), average, max: average * 2 })
}

/**
 * A frozen copy of sizes chosen freely, after a check against the algorithm's limits (spec 02 section 8.1): min 64 to
 * 1 MiB, average 256 to 4 MiB, max 1 KiB to 16 MiB, in this order of size.
 *
 * @throws FastCdcError `minimum-out-of-range`, `average-out-of-range`, `maximum-out-of-range`, `sizes-out-of-order`
 */
export function checkedChunkSizes({ min, average, max }: ChunkSizes): ChunkSizes {
  check('minimum-out-of-range', 'minimum chunk size', min, 64, 1048576)
  check('average-out-of-range', 'average chunk size', average, 256, 4194304)
  check('maximum-out-of-range', 'maximum chunk size', max, 1024, 16777216)
  if (min > average || average > max) {
    throw new FastCdcError(
      'sizes-out-of-order',
      'chunk sizes',
      'minimum <= average <= maximum',
      `${min}, ${average}, ${max}`,
    )
  }
  return Object.freeze({ min, average, max })
}

function check(code: FastCdcErrorCode, subject: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new FastCdcError(code, subject, `whole bytes within ${low} and ${high}`, String(value))
  }
}
