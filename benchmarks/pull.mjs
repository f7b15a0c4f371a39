// A closure pulled from a daemon into embedded stores that have all of it, most of it, or nothing: what travels, counted
// on the socket, and how long it takes.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { StorePath } from '@neve/nix-compat'
import { openLocalStore, openStore, pushClosure } from '@neve/store-pathinfo'
import { ContentSource } from './lib/content.mjs'
import { median } from './lib/measure.mjs'
import { NEVE, rounds, scaled } from './lib/settings.mjs'
import { heading, percent, printColumns, seconds, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const PATHS = scaled(200, 20)
const FILES = 100
const FILE_SIZE = 4000
const FOLDERS = 10

/** @typedef {import('@neve/store-pathinfo').PathInfo} PathInfo */
/** @typedef {{ readonly seconds: number, readonly cpu: number, readonly down: number, readonly up: number, readonly bytes: number }} Pulled */

await withWorkDir(async (dir) => {
  heading('pull', `a closure of ${PATHS} paths of ${FILES} files of ${FILE_SIZE} bytes; median of ${ROUNDS}`)
  const source = dir.fresh('source')
  const { tops, changed, old } = await fill(source, dir.fresh('trees'))
  const daemon = await startDaemon(source, dir.fresh('daemon.sock'))
  const counter = await countingProxy(daemon.socket, dir.fresh('counted.sock'))
  const missing = dir.fresh('nothing')
  const most = dir.fresh('most')
  const older = dir.fresh('older')
  const all = dir.fresh('all')
  await prepare(source, most, tops.slice(0, Math.floor(PATHS * 0.9)))
  await prepare(source, older, old)
  await prepare(source, all, tops)
  const jobs = [
    { name: 'nothing is there', from: missing, roots: tops },
    { name: '90 % of the paths are there', from: most, roots: tops },
    { name: 'all is there', from: all, roots: tops },
    { name: '90 % of the files of every path', from: older, roots: changed },
  ]
  // The daemon, and this process, are slower the first time.
  await pull(counter, dir.fresh('warm-up'), tops)
  /** @type {Map<string, Pulled[]>} */
  const results = new Map(jobs.map(({ name }) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, from, roots } of jobs) {
      const target = dir.fresh('target')
      if (from !== missing) cpSync(from, target, { recursive: true })
      dir.settle()
      results.get(name)?.push(await pull(counter, target, roots))
    }
  }
  const of = (/** @type {string} */ name, /** @type {keyof Pulled} */ key) =>
    median((results.get(name) ?? []).map((one) => one[key]))
  const full = { seconds: of('nothing is there', 'seconds'), down: of('nothing is there', 'down') }
  printColumns([
    ['there before', 'time', 'of the full', 'processor', 'down', 'of the full', 'up', 'content copied'],
    ...jobs.map(({ name }) => [
      name,
      seconds(of(name, 'seconds')),
      percent(of(name, 'seconds') / full.seconds),
      seconds(of(name, 'cpu')),
      size(of(name, 'down')),
      percent(of(name, 'down') / full.down),
      size(of(name, 'up')),
      size(of(name, 'bytes')),
    ]),
  ])
  counter.close()
  await daemon.stop()
})

/**
 * Paths, each of which references one from before, eight deep; and twice as many more: the same under other names, and
 * changed in one folder of ten.
 *
 * @param {string} store
 * @param {string} trees
 */
async function fill(store, trees) {
  const content = new ContentSource(21)
  const opened = await openLocalStore(store)
  /** @type {Record<'tops' | 'old' | 'changed', PathInfo[]>} */
  const made = { tops: [], old: [], changed: [] }
  for (let index = 0; index < PATHS; index++) {
    const tree = join(trees, String(index))
    for (let folder = 0; folder < FOLDERS; folder++) writeFolder(tree, folder, content)
    const earlier = (index - 1) >> 1
    made.tops.push(await add(`top-${index}`, tree, made.tops[earlier]))
    made.old.push(await add(`old-${index}`, tree, made.old[earlier]))
    writeFolder(tree, 0, content)
    made.changed.push(await add(`changed-${index}`, tree, made.changed[earlier]))
  }
  await opened.close()
  return made

  /**
   * @param {string} name
   * @param {string} tree
   * @param {PathInfo | undefined} reference
   */
  async function add(name, tree, reference) {
    const { pathInfo } = await opened.importPath(tree, { name, fileCache: false })
    const storePath = new StorePath(createHash('sha256').update(name).digest().subarray(0, 20), name)
    const references = reference === undefined ? [] : [reference.storePath]
    return opened.pathInfos.put({ ...pathInfo, storePath, references, ca: undefined })
  }
}

/**
 * @param {string} tree
 * @param {number} folder
 * @param {ContentSource} content
 */
function writeFolder(tree, folder, content) {
  const path = join(tree, `folder ${folder}`)
  mkdirSync(path, { recursive: true })
  for (let file = 0; file < FILES / FOLDERS; file++) {
    writeFileSync(join(path, `file ${file}`), content.random(FILE_SIZE))
  }
}

/**
 * Fills a store with a part of another.
 *
 * @param {string} source
 * @param {string} target
 * @param {readonly PathInfo[]} roots
 */
async function prepare(source, target, roots) {
  const from = await openLocalStore(source, { readOnly: true })
  const to = await openLocalStore(target)
  for await (const _path of pushClosure({ from, to }, roots.map(pathOf)));
  await to.close()
  await from.close()
}

/**
 * @param {Awaited<ReturnType<typeof countingProxy>>} counter
 * @param {string} target
 * @param {readonly PathInfo[]} roots
 * @returns {Promise<Pulled>}
 */
async function pull(counter, target, roots) {
  const from = await openStore(`grpc+unix:${counter.socket}`)
  const to = await openLocalStore(target)
  const before = { ...counter.counts }
  const start = performance.now()
  const cpu = process.cpuUsage()
  let bytes = 0
  for await (const path of pushClosure({ from, to }, roots.map(pathOf))) bytes += path.bytes
  const elapsed = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  await to.close()
  await from.close()
  const { down, up } = counter.counts
  return { seconds: elapsed, cpu: (user + system) / 1e6, bytes, down: down - before.down, up: up - before.up }
}

/** @param {PathInfo} info */
function pathOf({ storePath }) {
  return storePath
}

/**
 * @param {string} store
 * @param {string} socket
 */
async function startDaemon(store, socket) {
  const daemon = spawn(process.execPath, [NEVE, 'daemon', '--store', store, '--listen-address', socket], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  while (!said.includes('serving on')) said += String((await once(daemon.stderr, 'data'))[0])
  const stop = async () => {
    daemon.kill()
    await once(daemon, 'exit')
  }
  return { socket, stop }
}

/**
 * Passes everything on to a socket, and counts it.
 *
 * @param {string} to
 * @param {string} socket
 */
async function countingProxy(to, socket) {
  const counts = { down: 0, up: 0 }
  const server = createServer((client) => {
    const upstream = connect(to)
    client.on('data', (piece) => {
      counts.up += piece.length
    })
    upstream.on('data', (piece) => {
      counts.down += piece.length
    })
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  })
  server.listen(socket)
  await once(server, 'listening')
  return { socket, counts, close: () => server.close() }
}
