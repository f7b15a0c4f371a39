import { type ChunkSizes, checkedChunkSizes, chunkSizes } from './chunk-sizes.js'
import { FastCdcError } from './errors.js'
import { cutMasks, type Mask } from './masks.js'
import { sharedScanner } from './scanner.js'

/**
 * Finds chunk boundaries in memory, exactly where FastCDC's 2020 variant with normalisation level 1 and seed 0 puts
 * them (spec 02 section 8.2). It keeps no data and no state between calls.
 */
export class Cutter {
  /** The sizes in force, in bytes. */
  readonly sizes: ChunkSizes
  readonly #strict: Mask
  readonly #loose: Mask

  /**
   * @param sizes default `chunkSizes()`; any sizes within the limits of spec 02 section 8.1 may be given
   * @throws FastCdcError when the sizes are out of range or out of order
   */
  constructor(sizes: ChunkSizes = chunkSizes()) {
    this.sizes = checkedChunkSizes(sizes)
    const { strict, loose } = cutMasks(this.sizes.average)
    this.#strict = strict
    this.#loose = loose
  }

  /**
   * The length in bytes of the next chunk of data[start, end).
   *
   * A boundary may depend on everything up to the maximum size; so unless `final` says that no more bytes follow,
   * at least `sizes.max` bytes must be there, else the answer is 0: more are needed. With `final`, 0 means that
   * nothing is left. `data` is only read.
   *
   * @throws FastCdcError `invalid-range` when not 0 <= start <= end <= data.length
   */
  cut(data: Uint8Array, start: number, end: number, final: boolean): number {
    if (!(start >= 0 && start <= end && end <= data.length)) {
      throw new FastCdcError(
        'invalid-range',
        'range to cut',
        `0 <= start <= end <= ${data.length}`,
        `${start}, ${end}`,
      )
    }
    const { min, average, max } = this.sizes
    const available = end - start
    if (available < max && !final) return 0
    if (available <= min) return available
    const limit = Math.min(available, max)
    // The original takes two bytes a step: it never looks at an odd one left over at the end of a phase.
    const from = start + roundDownToEven(min)
    const center = start + roundDownToEven(Math.min(limit, average))
    const to = start + roundDownToEven(limit)

    const scanner = sharedScanner()
    scanner.reset()
    let hit = scanner.find(data, from, center, this.#strict)
    if (hit < 0) hit = scanner.find(data, center, to, this.#loose)
    return hit < 0 ? limit : hit - start
  }
}

function roundDownToEven(value: number): number {
  return value - (value % 2)
}
