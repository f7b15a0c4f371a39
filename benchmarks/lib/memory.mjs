// Resident memory of a process, as the kernel counts it.
import { readFileSync } from 'node:fs'

const INTERVAL = 20

/**
 * @typedef {object} MemorySample
 * @property {number} total everything resident, pages of mapped files included
 * @property {number} own anonymous and shared memory: what the process itself holds
 */

/**
 * @typedef {object} MemoryUse
 * @property {number} peak the most that was ever resident, by the kernel's own mark, in bytes
 * @property {number} peakOwn the most anonymous and shared memory in a sample, in bytes
 * @property {number} first mean of what was resident in the first third of the time, without the start, in bytes
 * @property {number} last the same of the last third
 * @property {number} firstOwn
 * @property {number} lastOwn
 * @property {number} samples
 */

/** Samples one process from its start to its end. */
export class MemoryWatch {
  /** @type {MemorySample[]} */
  #samples = []
  #peak = 0

  /**
   * @param {number} pid
   * @returns {() => void} ends it
   */
  start(pid) {
    const timer = setInterval(() => this.#sample(pid), INTERVAL)
    return () => clearInterval(timer)
  }

  /** @returns {MemoryUse} */
  result() {
    const settled = this.#samples.slice(Math.floor(this.#samples.length / 10))
    const third = Math.ceil(settled.length / 3)
    const first = settled.slice(0, third)
    const last = settled.slice(-third)
    return {
      peak: this.#peak,
      peakOwn: Math.max(0, ...this.#samples.map(({ own }) => own)),
      first: mean(first.map(({ total }) => total)),
      last: mean(last.map(({ total }) => total)),
      firstOwn: mean(first.map(({ own }) => own)),
      lastOwn: mean(last.map(({ own }) => own)),
      samples: this.#samples.length,
    }
  }

  /** @param {number} pid */
  #sample(pid) {
    let status
    try {
      status = readFileSync(`/proc/${pid}/status`, 'latin1')
    } catch {
      return
    }
    // A process that has ended, and was not yet waited for, has no memory.
    const total = field(status, 'VmRSS')
    if (total === undefined) return
    this.#peak = Math.max(this.#peak, field(status, 'VmHWM') ?? 0)
    this.#samples.push({ total, own: ownOf(status) })
  }
}

/**
 * Anonymous and shared memory that a process holds now.
 *
 * @param {number} pid
 * @returns {number} bytes
 */
export function residentOwn(pid) {
  return ownOf(readFileSync(`/proc/${pid}/status`, 'latin1'))
}

/** @param {string} status */
function ownOf(status) {
  return (field(status, 'RssAnon') ?? 0) + (field(status, 'RssShmem') ?? 0)
}

/**
 * @param {string} status
 * @param {string} name
 * @returns {number | undefined} bytes
 */
function field(status, name) {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** @param {readonly number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
