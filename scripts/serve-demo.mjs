// How `npm start` ends: the store that it made is served, to people, to Nix and to other Neves.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { encodeNixbase32 } from '../packages/nix-compat/dist/index.js'
import { ROOT } from './setup.mjs'

/**
 * Serves the default store. Where a person watches, until Ctrl-C; else only until one NAR was fetched as Nix does it.
 *
 * @param {{ write(text: string): unknown }} output
 * @param {string} storePath of what to fetch
 * @param {boolean} stays whether it is served until somebody ends it
 * @returns {Promise<number>} exit code: 0, or 1 when what came is not what the narinfo says
 */
export async function serveDemo(output, storePath, stays) {
  // A terminal signals both processes: the daemon ends, and this one after it.
  process.on('SIGINT', () => {})
  const { daemon, grpc, http } = await startDaemon(stays)
  const stop = () => void daemon.kill('SIGTERM')
  process.on('SIGTERM', stop).on('SIGHUP', stop)
  const ended = once(daemon, 'close')
  try {
    const fetched = await fetchNar(http, storePath)
    output.write(`\nServing it on ${http} and ${grpc}\n${fetched.report}\n`)
    if (stays) {
      output.write(commands(http, grpc, storePath))
      await ended
    }
    return fetched.right ? 0 : 1
  } finally {
    if (daemon.exitCode === null && daemon.signalCode === null) {
      stop()
      await ended
    }
  }
}

/** @param {boolean} stays whether clients should find it where they look */
async function startDaemon(stays) {
  const known = stays && (await isFree('::1', 8000)) && (await isFree('::1', 9000))
  const [grpc, http] = known ? ['[::1]:8000', '[::1]:9000'] : ['127.0.0.1:0', '127.0.0.1:0']
  const neve = join(ROOT, 'packages/cli/dist/neve.js')
  const args = ['daemon', '--listen-address', grpc, '--http', http]
  const daemon = spawn(process.execPath, [neve, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  for await (const line of createInterface(daemon.stderr)) {
    const urls = /^neve: serving on (\S+) (\S+)$/.exec(line)
    if (urls !== null) {
      daemon.stderr.resume()
      return { daemon, grpc: String(urls[1]), http: String(urls[2]) }
    }
    process.stderr.write(`${line}\n`)
  }
  throw new Error('the daemon did not start')
}

/**
 * @param {string} host
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function isFree(host, port) {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port }, () => server.close(() => resolve(true)))
  })
}

/**
 * Asks for a store path as Nix does: first for what is known of it, then for its NAR.
 *
 * @param {string} cache
 * @param {string} storePath
 */
async function fetchNar(cache, storePath) {
  const narinfo = await (await get(`${cache}/${hashPart(storePath)}.narinfo`)).text()
  const field = (/** @type {string} */ name) => new RegExp(`^${name}: (.*)$`, 'm').exec(narinfo)?.[1] ?? ''
  const url = field('URL').replace('.nar.zst', '')
  const nar = Buffer.from(await (await get(`${cache}/${url}`)).arrayBuffer())
  const hash = `sha256:${encodeNixbase32(createHash('sha256').update(nar).digest())}`
  const right = hash === field('NarHash') && String(nar.length) === field('NarSize')
  const report = right
    ? `Fetched its NAR from there: ${nar.length.toLocaleString('en-US')} bytes, ${hash}, as the narinfo says`
    : `Fetched its NAR from there, and it is WRONG: ${nar.length} bytes, ${hash}, but the narinfo says ${field('NarHash')}`
  return { right, report }
}

/** @param {string} storePath */
function hashPart(storePath) {
  return storePath.slice('/nix/store/'.length).slice(0, 32)
}

/** @param {string} url */
async function get(url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return response
}

/**
 * @param {string} http
 * @param {string} grpc
 * @param {string} storePath
 */
function commands(http, grpc, storePath) {
  return `
In a browser
  ${http}/
In another terminal
  curl ${http}/${hashPart(storePath)}.narinfo
  nix copy --no-check-sigs --from '${http}' ${storePath}
  npm start -- ls -l --store '${grpc}' ${storePath}

Ctrl-C ends it.
`
}
