// Real processes, as a user starts them: timed from the start to the exit.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { NEVE } from './settings.mjs'

/**
 * @typedef {object} Run
 * @property {number} seconds from the start of the process to its exit
 * @property {string} stdout
 */

/**
 * @typedef {object} RunOptions
 * @property {Readonly<Record<string, string | undefined>>} [env] added to the environment
 * @property {boolean} [discard] sends the standard output to /dev/null
 * @property {(pid: number) => (() => void)} [watch] is told the process when it starts; what it returns is called at the end
 */

/**
 * Runs a program. Node takes 0.1 s to read what NODE_EXTRA_CA_CERTS names, each time it starts and whatever it is to do:
 * where that is set, it is a matter of the machine and not of who is measured.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<Run>}
 * @throws {Error} with what it said, when it cannot be started or fails
 */
export async function run(file, args, { env, discard = false, watch } = {}) {
  const sink = discard ? openSync('/dev/null', 'w') : undefined
  try {
    const start = performance.now()
    const child = spawn(file, args, {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...env },
      stdio: ['ignore', sink ?? 'pipe', 'pipe'],
    })
    const ended = child.pid === undefined ? undefined : watch?.(child.pid)
    /** @type {Buffer[]} */
    const out = []
    /** @type {Buffer[]} */
    const complaints = []
    child.stdout?.on('data', (piece) => out.push(piece))
    child.stderr?.on('data', (piece) => complaints.push(piece))
    const status = await new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve(signal ?? code))
    }).finally(() => ended?.())
    const seconds = (performance.now() - start) / 1000
    if (status !== 0) {
      const said = Buffer.concat(complaints).toString().trim()
      throw new Error(`${[file, ...args].join(' ')}: ended with ${status}: ${said}`)
    }
    return { seconds, stdout: Buffer.concat(out).toString() }
  } finally {
    if (sink !== undefined) closeSync(sink)
  }
}

/**
 * Runs `neve` on a store.
 *
 * @param {string} store folder
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 */
export function neve(store, args, options) {
  return run(process.execPath, [NEVE, '--store', store, ...args], options)
}

/**
 * What it takes to move a file through a pipe.
 *
 * @param {string} path
 */
export function catThroughPipe(path) {
  return run('sh', ['-c', 'cat "$1" | cat >/dev/null', 'sh', path])
}

/**
 * Reads a file so that the next reader finds it in memory.
 *
 * @param {string} path
 */
export async function warm(path) {
  await run('cat', [path], { discard: true })
}
