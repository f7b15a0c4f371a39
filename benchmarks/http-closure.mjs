// A closure over HTTP as real Nix copies it: from `neve nar-bridge` against nginx with zstd files, to it against
// `file://`; its narinfo files asked for by wrk; and the memory of a server of which 64 clients read large NARs slowly. Needs nix, nginx and wrk.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ContentSource } from './lib/content.mjs'
import { bridge, inTurn, nginx, wrk } from './lib/http-peers.mjs'
import { neve } from './lib/process.mjs'
import { SCALE, scaled } from './lib/settings.mjs'
import { heading, printTable, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const PATHS = scaled(300, 10)
const BYTES = scaled(2 ** 30, 1 << 22)
const LARGE = scaled(4 * 2 ** 30, 1 << 26)
const CLIENTS = 64
/** What each slow client takes, ten times a second, in bytes. */
const SIP = 64 * 1024

const missing = ['nginx', 'nix', 'wrk'].filter(
  (program) => spawnSync(program, ['--version']).error !== undefined,
)
if (missing.length > 0) console.log(`skipped: there is no ${missing.join(', and no ')} here`)
else
  await withWorkDir(async (dir) => {
    heading('A closure over HTTP', `${PATHS} store paths, ${size(BYTES)}; nix copy, one round`)
    const source = nix('source')
    const paths = makeClosure()
    const files = dir.fresh('files')
    source('copy', '--to', `file://${files}?compression=zstd`, ...paths)
    const scratch = dir.fresh('nginx')
    mkdirSync(scratch)
    const peer = await nginx(files, scratch)
    const ours = await bridge(dir.fresh('store'))
    const rows = []
    for (const compression of ['none', 'zstd']) {
      const to = compression === 'none' ? ours : await bridge(dir.fresh('zstd-store'))
      const put = timed(() => source('copy', '--to', `${to.url}?compression=${compression}`, ...paths))
      const folder = dir.fresh('peer')
      const local = timed(() =>
        source('copy', '--to', `file://${folder}?compression=${compression}`, ...paths),
      )
      rows.push(row(`nix copy --to, ${compression}`, put, local, 'file://'))
      if (to !== ours) await to.stop()
    }
    const fromOurs = timed(() => nix('from-ours')('copy', '--from', ours.url, '--no-check-sigs', ...paths))
    const fromPeer = timed(() => nix('from-peer')('copy', '--from', peer.url, '--no-check-sigs', ...paths))
    rows.push(row('nix copy --from', fromOurs, fromPeer, 'nginx, zstd'))
    rows.push(await lookups())
    await ours.stop()
    await peer.stop()
    for (const form of ['NAR', '.nar.zst']) rows.push(await slowClients(form))
    printTable(rows)

    /** All narinfo files of the closure, over and over. */
    async function lookups() {
      const script = inTurn(
        dir.fresh('paths.lua'),
        paths.map((path) => `/${path.slice(11, 43)}.narinfo`),
      )
      const { requests } = await wrk(ours.url, 16, 2, script)
      const { requests: peers } = await wrk(peer.url, 16, 2, script)
      return {
        job: 'all narinfo files, 16 connections, against nginx',
        ours: `${requests.toFixed(0)}/s`,
        peer: `${peers.toFixed(0)}/s`,
        ratio: `${(peers / requests).toFixed(2)}x`,
        target: '<= 3x',
        met: peers <= 3 * requests,
      }
    }

    /** @param {string} name */
    function nix(name) {
      const home = dir.fresh(name)
      mkdirSync(join(home, 'root'), { recursive: true })
      writeFileSync(
        join(home, 'nix.conf'),
        'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n',
      )
      const env = { ...process.env, HOME: home, NIX_CONF_DIR: home, NIX_REMOTE: join(home, 'root') }
      return (/** @type {string[]} */ ...args) => {
        const ran = spawnSync('nix', args, { env, encoding: 'utf8', maxBuffer: 1 << 28 })
        if (ran.status !== 0) throw new Error(`nix ${args[0]}: ${ran.stderr}`)
        return ran.stdout
      }
    }

    /** Store paths half of text and half of what does not compress, some of many files. */
    function makeClosure() {
      const trees = dir.fresh('trees')
      mkdirSync(trees)
      const content = new ContentSource(11)
      const each = Math.floor(BYTES / PATHS)
      return Array.from({ length: PATHS }, (_, i) => {
        const tree = join(trees, `tree-${i}`)
        mkdirSync(tree)
        const parts = i % 3 === 0 ? 100 : 2
        for (let part = 0; part < parts; part++) {
          const kind = part % 2 === 0 ? 'text' : 'random'
          content.writeFile(join(tree, `file-${part}`), Math.max(1, Math.floor(each / parts)), kind)
        }
        symlinkSync('file-0', join(tree, 'link'))
        return source('store', 'add-path', tree).trim()
      })
    }

    /** @param {string} form */
    async function slowClients(form) {
      const file = dir.fresh(form === 'NAR' ? 'random' : 'text')
      new ContentSource(5).writeFile(file, LARGE, form === 'NAR' ? 'random' : 'text')
      const store = dir.fresh('slow-store')
      const { storePath } = JSON.parse((await neve(store, ['import', '--json', file])).stdout)
      dir.remove(file)
      const server = await bridge(store)
      const narinfo = await (await fetch(`${server.url}/${storePath.slice(11, 43)}.narinfo`)).text()
      const url = /^URL: (.*)$/m.exec(narinfo)?.[1] ?? ''
      const target = `/${form === 'NAR' ? url.replace('.nar.zst', '') : url}`
      const sockets = Array.from({ length: CLIENTS }, () => sipping(server.url, target))
      let most = 0
      const until = performance.now() + 20_000 * Math.min(1, Math.max(0.4, SCALE))
      while (performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 200))
        const status = readFileSync(`/proc/${server.pid}/status`, 'utf8')
        most = Math.max(most, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024)
      }
      for (const socket of sockets) socket.destroy()
      await server.stop()
      dir.remove(store)
      return {
        job: `${CLIENTS} slow clients, ${form} of ${size(LARGE)}`,
        ours: size(most),
        peer: '–',
        ratio: '',
        target: '< 256 MiB',
        met: most < 256 * 2 ** 20,
      }
    }
  })

/**
 * @param {string} url
 * @param {string} target
 */
function sipping(url, target) {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
  socket.pause()
  const timer = setInterval(() => void (socket.read(SIP) ?? socket.read()), 100)
  socket.on('close', () => clearInterval(timer))
  return socket
}

/** @param {() => unknown} job */
function timed(job) {
  const begun = performance.now()
  job()
  return (performance.now() - begun) / 1000
}

/**
 * @param {string} job
 * @param {number} ours in seconds
 * @param {number} peer
 * @param {string} what the peer is
 */
function row(job, ours, peer, what) {
  return {
    job: `${job}, against ${what}`,
    ours: `${ours.toFixed(2)} s`,
    peer: `${peer.toFixed(2)} s`,
    ratio: `${(ours / peer).toFixed(2)}x`,
    target: '<= 1.2x',
    met: ours <= 1.2 * peer,
  }
}
