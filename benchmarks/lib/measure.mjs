// Measuring contestants fairly.

/**
 * @typedef {() => Promise<number> | number} Contestant does its job once and says how many seconds it took; what it
 *   prepares and cleans up is its own affair
 */

/**
 * Runs the contestants in turn, round after round, so that what slows the machine down slows all of them.
 *
 * @template {Readonly<Partial<Record<string, Contestant>>>} Contestants
 * @param {Contestants} contestants
 * @param {number} rounds
 * @returns {Promise<{ -readonly [Name in keyof Contestants]: number }>} the median of each, in seconds
 */
export async function interleave(contestants, rounds) {
  const entries = Object.entries(contestants).flatMap(([name, run]) =>
    run === undefined ? [] : [{ name, run, times: /** @type {number[]} */ ([]) }],
  )
  for (let round = 0; round < rounds; round++) {
    for (const { run, times } of entries) times.push(await run())
  }
  return /** @type {{ -readonly [Name in keyof Contestants]: number }} */ (
    Object.fromEntries(entries.map(({ name, times }) => [name, median(times)]))
  )
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/**
 * @param {() => unknown} job may return a promise
 * @returns {Promise<number>} seconds
 */
export async function timed(job) {
  const start = performance.now()
  await job()
  return (performance.now() - start) / 1000
}
