// What the environment says about a run.
import { fileURLToPath } from 'node:url'

/** `NEVE_BENCH_SCALE`: the part of the full amount of data to work on. Targets are for 1. */
export const SCALE = positive('NEVE_BENCH_SCALE', 1)

/** The command as it is built, to be started with Node. */
export const NEVE = fileURLToPath(new URL('../../packages/cli/dist/neve.js', import.meta.url))

/**
 * How often each contestant runs: `NEVE_BENCH_ROUNDS`, else what the benchmark finds right.
 *
 * @param {number} usual
 */
export function rounds(usual) {
  return Math.max(1, Math.round(positive('NEVE_BENCH_ROUNDS', usual)))
}

/**
 * A number of things or bytes, at this scale.
 *
 * @param {number} full
 * @param {number} [least]
 */
export function scaled(full, least = 1) {
  return Math.max(least, Math.round(full * SCALE))
}

/**
 * @param {string} name
 * @param {number} fallback
 */
function positive(name, fallback) {
  const text = process.env[name]
  if (text === undefined || text === '') return fallback
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new Error(`${name}: expected a positive number, got ${JSON.stringify(text)}`)
}
