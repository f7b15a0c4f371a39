// What the HTTP benchmark compares: a folder behind nginx and a store behind `neve nar-bridge`, both asked by wrk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../scripts/free-port.mjs'
import { run } from './process.mjs'
import { NEVE } from './settings.mjs'

/**
 * @typedef {object} Peer
 * @property {string} url
 * @property {() => Promise<void>} stop
 */

/**
 * Serves the files of a folder as nginx does best: from the page cache, by sendfile, a worker for each processor.
 *
 * @param {string} folder
 * @param {string} scratch
 * @returns {Promise<Peer>}
 */
export async function nginx(folder, scratch) {
  const port = await freePort()
  const config = join(scratch, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; worker_processes auto; pid ${scratch}/pid; error_log ${scratch}/error.log;
user root;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; open_file_cache max=1000;
  client_body_temp_path ${scratch}/b; proxy_temp_path ${scratch}/p; fastcgi_temp_path ${scratch}/f;
  uwsgi_temp_path ${scratch}/u; scgi_temp_path ${scratch}/s;
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`,
  )
  const child = spawn('nginx', ['-c', config, '-e', `${scratch}/error.log`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await answering(`http://127.0.0.1:${port}/`)
  return { url: `http://127.0.0.1:${port}`, stop: () => stopped(child) }
}

/**
 * Serves a store.
 *
 * @param {string} store
 * @returns {Promise<Peer & { readonly pid: number }>}
 */
export async function bridge(store) {
  const child = spawn(process.execPath, [NEVE, '--store', store, 'nar-bridge', '-l', '127.0.0.1:0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [line] = await once(/** @type {import('node:stream').Readable} */ (child.stderr), 'data')
  const url = /serving on (\S+)/.exec(String(line))?.[1]
  if (url === undefined) throw new Error(`neve nar-bridge: ${line}`)
  return { url, pid: child.pid ?? 0, stop: () => stopped(child) }
}

/**
 * Asks for one thing over and over, or for many in turn.
 *
 * @param {string} url
 * @param {number} connections
 * @param {number} seconds
 * @param {string} [script] see {@link inTurn}
 * @returns {Promise<{ readonly requests: number, readonly bytes: number }>} a second
 */
export async function wrk(url, connections, seconds, script) {
  const scripted = script === undefined ? [] : ['-s', script]
  const args = ['-t1', `-c${connections}`, `-d${seconds}`, '--timeout', '60', ...scripted, url]
  const { stdout } = await run('wrk', args)
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk ${url}: ${stdout}`)
  const requests = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
  const [, amount, unit = ''] = /Transfer\/sec:\s+([\d.]+)(B|KB|MB|GB)/.exec(stdout) ?? []
  return { requests, bytes: Number(amount) * (UNITS[unit] ?? Number.NaN) }
}

/**
 * Writes a script with which wrk asks for each of some paths in turn.
 *
 * @param {string} file
 * @param {readonly string[]} paths with their slashes
 */
export function inTurn(file, paths) {
  const list = paths.map((path) => JSON.stringify(path)).join(',')
  const request = 'request = function() i = i % #paths + 1 return wrk.format("GET", paths[i]) end'
  writeFileSync(file, `local paths = {${list}}\nlocal i = 0\n${request}\n`)
  return file
}

/** @type {Readonly<Record<string, number>>} */
const UNITS = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 }

/** @param {string} url */
async function answering(url) {
  for (let tries = 0; ; tries++) {
    try {
      await (await fetch(url)).arrayBuffer()
      return
    } catch (error) {
      if (tries > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** @param {import('node:child_process').ChildProcess} child */
async function stopped(child) {
  if (child.exitCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
