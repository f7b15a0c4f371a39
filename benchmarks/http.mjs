// NARs and narinfo files over HTTP, warm: `neve nar-bridge`, one process, against nginx serving the same bytes as files.
// Needs nginx and wrk (Debian: nginx-light, wrk). wrk counts what comes over the wire, so a compressed NAR by its own
// length; what that is in bytes of NAR stands beside it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ContentSource } from './lib/content.mjs'
import { bridge, nginx, wrk } from './lib/http-peers.mjs'
import { neve, warm } from './lib/process.mjs'
import { SCALE, scaled } from './lib/settings.mjs'
import { compareRates, heading, printTable, size } from './lib/table.mjs'
import { copyShare, writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const SECONDS = Math.max(1, Math.round(4 * Math.min(1, SCALE)))
const LARGE = scaled(2 ** 30, 1 << 20)

const missing = ['nginx', 'wrk'].filter((program) => spawnSync(program, ['-v']).error !== undefined)
if (missing.length > 0) console.log(`skipped: there is no ${missing.join(', and no ')} here`)
else
  await withWorkDir(async (dir) => {
    heading('NARs over HTTP', `${SECONDS} s each, one round, warm, wrk with one thread`)
    const rows = []
    for (const kind of /** @type {const} */ (['random', 'text'])) {
      const file = dir.fresh(kind)
      new ContentSource(5).writeFile(file, LARGE, kind)
      rows.push(
        ...(await compare(file, `${kind}, ${size(LARGE)}`, { plain: { share: 0.5 }, zstd: { share: 0.7 } })),
      )
    }
    const trees = { plain: { rate: 400e6 }, zstd: { rate: 800e6 } }
    const small = dir.fresh('small')
    const { files, bytes } = writeSmallFiles(small)
    rows.push(...(await compare(small, `${files} files, ${size(bytes)}`, trees)))
    const share = dir.fresh('share')
    if (await copyShare(share)) rows.push(...(await compare(share, 'copy of /usr/share', trees)))
    printTable(rows)

    /**
     * @param {string} tree removed once it is in the store
     * @param {string} what
     * @param {{ readonly plain: object, readonly zstd: object }} target of the rate of NAR
     */
    async function compare(tree, what, target) {
      const store = dir.fresh('store')
      /** @type {{ storePath: string }} */
      const { storePath } = JSON.parse((await neve(store, ['import', '--json', tree])).stdout)
      dir.remove(tree)
      const folder = dir.fresh('files')
      mkdirSync(folder)
      const hash = storePath.slice(11, 43)
      const ours = await bridge(store)
      const narinfo = await (await fetch(`${ours.url}/${hash}.narinfo`)).text()
      const url = /^URL: (.*)$/m.exec(narinfo)?.[1] ?? ''
      writeFileSync(join(folder, 'narinfo'), narinfo)
      await neve(store, ['nar', '-o', join(folder, 'nar'), storePath])
      await neve(store, ['nar', '--zstd', '-o', join(folder, 'zst'), storePath])
      const length = statSync(join(folder, 'nar')).size
      const packed = statSync(join(folder, 'zst')).size
      for (const name of ['nar', 'zst']) await warm(join(folder, name))
      dir.settle()
      const scratch = dir.fresh('nginx')
      mkdirSync(scratch)
      const peer = await nginx(folder, scratch)
      const lines = []
      for (const connections of [1, 16]) {
        const streams = connections === 1 ? '1 stream' : `${connections} streams`
        const nar = `${ours.url}/${url.replace('.nar.zst', '')}`
        const plain = await wrk(nar, connections, SECONDS)
        const plainPeer = await wrk(`${peer.url}/nar`, connections, SECONDS)
        lines.push(compareRates(`${what}, NAR, ${streams}`, plain.bytes, plainPeer.bytes, target.plain))
        const zstd = await wrk(`${ours.url}/${url}`, connections, SECONDS)
        const zstdPeer = await wrk(`${peer.url}/zst`, connections, SECONDS)
        const factor = length / packed
        const job = `${what}, .nar.zst, ${streams}, as NAR`
        lines.push(compareRates(job, zstd.bytes * factor, zstdPeer.bytes * factor, target.zstd))
      }
      const lookups = await wrk(`${ours.url}/${hash}.narinfo`, 16, SECONDS)
      const peerLookups = await wrk(`${peer.url}/narinfo`, 16, SECONDS)
      lines.push({
        job: `${what}, narinfo, 16 connections`,
        ours: `${lookups.requests.toFixed(0)}/s`,
        peer: `${peerLookups.requests.toFixed(0)}/s`,
        ratio: `${((lookups.requests / peerLookups.requests) * 100).toFixed(0)} %`,
        target: '>= 25000/s',
        met: lookups.requests >= 25_000,
      })
      await ours.stop()
      await peer.stop()
      dir.remove(store)
      dir.remove(folder)
      return lines
    }
  })
