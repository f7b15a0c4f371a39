// Tables for people, with one verdict a line.
import { availableParallelism } from 'node:os'
import { SCALE } from './settings.mjs'

/**
 * @typedef {object} Row
 * @property {string} job
 * @property {string} ours
 * @property {string} [peer] the peer's figure; none where it is missing, or where there is nothing to compare with
 * @property {string} [ratio]
 * @property {string} [target]
 * @property {boolean} [met] whether the target is met; undefined where there is none
 */

/**
 * Says what is measured, in how many rounds and threads.
 *
 * @param {string} title
 * @param {string} detail
 */
export function heading(title, detail) {
  const scale = SCALE === 1 ? '' : `; SCALE ${SCALE}, while targets are for 1`
  console.log(`${title}: ${detail}; Node ${process.version}, ${availableParallelism()} threads${scale}`)
}

/** @param {readonly Row[]} rows */
export function printTable(rows) {
  const header = ['job', 'ours', 'peer', 'ratio', 'target', '']
  printColumns([
    header,
    ...rows.map(({ job, ours, peer, ratio, target, met }) => [
      job,
      ours,
      peer ?? '-',
      ratio ?? '-',
      target ?? '-',
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ]),
  ])
}

/**
 * Prints lines of cells, the first column to the left and the others to the right.
 *
 * @param {readonly (readonly string[])[]} lines the first is the header
 */
export function printColumns(lines) {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  )
  for (const [index, line] of lines.entries()) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    console.log(`  ${cells.join('  ')}`.trimEnd())
    if (index === 0) console.log(`  ${widths.map((width) => '-'.repeat(width)).join('  ')}`)
  }
}

/**
 * Compares two durations: how many times as fast ours is.
 *
 * @param {string} job
 * @param {number} ours seconds
 * @param {number | undefined} peer seconds; undefined where the peer is missing
 * @param {number} [atLeast] the ratio to reach
 * @returns {Row}
 */
export function compareTimes(job, ours, peer, atLeast) {
  const ratio = peer === undefined ? undefined : peer / ours
  return {
    job,
    ours: seconds(ours),
    ...(peer !== undefined && { peer: seconds(peer) }),
    ...(ratio !== undefined && { ratio: `${ratio.toFixed(2)}x` }),
    ...(atLeast !== undefined && { target: `>= ${atLeast}x` }),
    ...(atLeast !== undefined && ratio !== undefined && { met: ratio >= atLeast }),
  }
}

/**
 * Compares two rates, in bytes a second.
 *
 * @param {string} job
 * @param {number} ours
 * @param {number | undefined} peer undefined where there is nothing to compare with
 * @param {{ readonly share?: number, readonly rate?: number }} [target] the part of the peer's rate and the rate to reach
 * @returns {Row}
 */
export function compareRates(job, ours, peer, { share, rate } = {}) {
  const ratio = peer === undefined ? undefined : ours / peer
  const targets = [
    ...(share === undefined ? [] : [`>= ${percent(share)}`]),
    ...(rate === undefined ? [] : [`>= ${megabytes(rate)}`]),
  ]
  const known = (share !== undefined && ratio !== undefined) || rate !== undefined
  const met = (share === undefined || ratio === undefined || ratio >= share) && ours >= (rate ?? 0)
  return {
    job,
    ours: megabytes(ours),
    ...(peer !== undefined && { peer: megabytes(peer) }),
    ...(ratio !== undefined && { ratio: percent(ratio) }),
    ...(targets.length > 0 && { target: targets.join(', ') }),
    ...(known && { met }),
  }
}

/** @param {number} value seconds */
export function seconds(value) {
  return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(2)} s`
}

/** @param {number} rate bytes a second */
export function megabytes(rate) {
  return `${(rate / 1e6).toFixed(0)} MB/s`
}

/** @param {number} part */
export function percent(part) {
  return `${(part * 100).toFixed(0)} %`
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}

/** @param {number} bytes */
export function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`
}
