// Reading a tree through `neve mount`: against bindfs over the same tree, and against the tree itself. For cold figures
// everything is mounted anew and the kernel forgets what it has read, which slows down whoever else is on the machine.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ContentSource } from './lib/content.mjs'
import { interleave } from './lib/measure.mjs'
import { residentOwn } from './lib/memory.mjs'
import { bareMount, bindfs, dropCaches, inPlace, neveMount } from './lib/mounts.mjs'
import { neve, run } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareRates, compareTimes, heading, mebibytes, printTable, seconds, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

/** @typedef {import('./lib/mounts.mjs').View} View */
/** @typedef {import('./lib/table.mjs').Row} Row */

const ROUNDS = rounds(3)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
const READERS = 16
const BLOCKS = ['4k', '128k']
const FIO_SECONDS = Math.max(1, scaled(5))
const MEMORY_LIMIT = 150 * 2 ** 20
const READY_LIMIT = 0.3

await withWorkDir(async (dir) => {
  if (process.getuid?.() !== 0) {
    console.log('(only root can make the kernel forget what it has read: skipped)')
    return
  }
  heading('mount', `median of ${ROUNDS}; cold: mounted anew, nothing in memory`)
  const trees = dir.fresh('trees')
  mkdirSync(trees)
  const store = dir.fresh('store')
  const large = /** @type {const} */ (['random', 'text'])
  for (const kind of large) new ContentSource(4).writeFile(join(trees, kind), LARGE, kind)
  const { files, bytes } = writeSmallFiles(join(trees, 'small'))
  const wide = scaled(50_000)
  writeEmptyish(join(trees, 'flat'), 1, wide)
  const folders = scaled(1000)
  writeEmptyish(join(trees, 'deep'), folders, 99)

  /** @type {Record<string, string>} */
  const names = {}
  for (const tree of [...large, 'small', 'flat', 'deep']) {
    const { stdout } = await neve(store, ['import', '--json', join(trees, tree)])
    names[tree] = JSON.parse(stdout).storePath.split('/').at(-1)
  }
  dir.settle()
  const throughBindfs = bindfs(trees, dir.fresh('bindfs'))
  if (throughBindfs === undefined) console.log('(no bindfs: without a peer)')
  const mountpoint = dir.fresh('mount')
  const place = dir.fresh('bare')

  const inTurn = async (/** @type {(() => Promise<Row[]>)[]} */ parts) => {
    const rows = []
    for (const part of parts) rows.push(...(await part()))
    printTable(rows)
  }
  await inTurn([...large.map((kind) => () => readWhole(kind)), readBare])
  await inTurn([...large.map((kind) => () => readAtRandom(kind)), readBareAtRandom])
  await inTurn([
    () => find('small', `${files} files`),
    () => find('deep', `${folders * 100} entries`),
    () => find('flat', `one directory of ${wide}`),
    tar,
  ])
  await inTurn([memory, ready])
  console.log('  What stands in brackets is without a store, or without a mount.')

  /**
   * Lets each see the tree in turn.
   *
   * @param {string} tree
   * @param {(path: string) => Promise<number>} job
   */
  async function compare(tree, job) {
    /** @param {import('./lib/mounts.mjs').Mounter} mount @param {string} [below] */
    const contestant = (mount, below) => async () => {
      dropCaches()
      const view = await mount()
      try {
        return await job(below === undefined ? view.path : join(view.path, below))
      } finally {
        await view.close()
      }
    }
    const times = await interleave(
      {
        native: contestant(inPlace(join(trees, tree))),
        neve: contestant(neveMount(store, names[tree] ?? '', mountpoint)),
        ...(throughBindfs && { bindfs: contestant(throughBindfs, tree) }),
      },
      ROUNDS,
    )
    return /** @type {{ native: number, neve: number, bindfs?: number }} */ (times)
  }

  /** @param {string} kind */
  async function readWhole(kind) {
    const read = async (/** @type {string} */ path) => (await run('cat', [path], { discard: true })).seconds
    const what = `${kind}, ${size(LARGE)}, sequential`
    const cold = await compare(kind, read)
    // The first pass after the cold one may find parts of the file missing.
    const warm = await compare(kind, async (path) => {
      await read(path)
      await read(path)
      return await read(path)
    })
    const rate = (/** @type {number | undefined} */ time) => time && LARGE / time
    return [
      compareRates(`${what}, cold`, LARGE / cold.neve, rate(cold.bindfs), { share: 1 }),
      compareRates('  (against the file itself)', LARGE / cold.neve, LARGE / cold.native),
      compareRates(`${what}, warm`, LARGE / warm.neve, rate(warm.bindfs)),
      compareRates('  (against the page cache)', LARGE / warm.neve, LARGE / warm.native, { share: 0.95 }),
    ]
  }

  /**
   * Lets the bare loop answer the same requests.
   *
   * @param {(path: string) => Promise<number>} job
   * @param {'random' | 'text'} [content] what is made and verified for each chunk
   */
  async function throughBare(job, content) {
    dropCaches()
    const view = await bareMount(LARGE, place, content)()
    try {
      return await job(view.path)
    } finally {
      await view.close()
    }
  }

  /** What the bare loop takes for the same requests, and what the kernel does with what is in its cache. */
  async function readBare() {
    const read = async (/** @type {string} */ path) =>
      LARGE / (await run('cat', [path], { discard: true })).seconds
    const warm = async (/** @type {string} */ path) => {
      await read(path)
      await read(path)
      return await read(path)
    }
    return [
      compareRates(`(the bare loop from memory, ${size(LARGE)}, cold)`, await throughBare(read)),
      compareRates('  (random, verified in the loop, cold)', await throughBare(read, 'random')),
      compareRates('  (text, expanded and verified in the loop, cold)', await throughBare(read, 'text')),
      compareRates('  (from memory, warm)', await throughBare(warm)),
    ]
  }

  /** The same for random readers: with a chunk verified for each block, as long as nobody gives the kernel the rest of it. */
  async function readBareAtRandom() {
    const out = []
    for (const block of BLOCKS) {
      const read = (/** @type {string} */ path) => fio(path, block)
      const what = `${READERS} random readers of ${block}`
      out.push(compareRates(`(the bare loop from memory, ${what}, cold)`, await throughBare(read)))
      out.push(compareRates('  (a chunk verified for each in the loop)', await throughBare(read, 'random')))
    }
    return out
  }

  /** @param {string} tree @param {string} what */
  async function find(tree, what) {
    const { native, neve, bindfs } = await compare(tree, async (path) => {
      return (await run('find', [path, '-size', '+1'], { discard: true })).seconds
    })
    return [
      compareTimes(`find -size, ${what}, cold`, neve, bindfs, 1),
      compareTimes('  (against the tree itself)', neve, native, 0.4),
    ]
  }

  async function tar() {
    const { native, neve, bindfs } = await compare('small', async (path) => {
      return (await run('sh', ['-c', 'tar -C "$1" -cf - . | cat >/dev/null', 'sh', path])).seconds
    })
    return [
      compareTimes(`tar, ${files} files, ${size(bytes)}, cold`, neve, bindfs, 1),
      compareTimes('  (against the tree itself)', neve, native),
    ]
  }

  /** @param {string} kind */
  async function readAtRandom(kind) {
    const out = []
    for (const block of BLOCKS) {
      const times = await compare(kind, async (path) => 1 / (await fio(path, block)))
      const { native, neve, bindfs } = times
      const what = `${kind}, ${READERS} random readers of ${block}`
      out.push(compareRates(what, 1 / neve, bindfs && 1 / bindfs, { share: 1 }))
      out.push(compareRates('  (against the file itself)', 1 / neve, 1 / native))
    }
    return out
  }

  /** @param {string} path @param {string} block @returns {Promise<number>} bytes a second */
  async function fio(path, block) {
    const { stdout } = await run('fio', [
      ...['--name=read', `--filename=${path}`, '--readonly', '--rw=randread', `--bs=${block}`],
      ...[`--numjobs=${READERS}`, '--thread', '--ioengine=psync', `--runtime=${FIO_SECONDS}`, '--time_based'],
      ...['--norandommap', '--group_reporting', '--output-format=json'],
    ])
    return JSON.parse(stdout).jobs[0].read.bw_bytes
  }

  /** What 100,000 entries take that the kernel knows. */
  async function memory() {
    const view = await neveMount(store, names['deep'] ?? '', mountpoint)()
    const before = residentOwn(view.pid ?? 0)
    await run('find', [view.path, '-size', '+1'], { discard: true })
    const grown = residentOwn(view.pid ?? 0) - before
    await view.close()
    return [
      {
        job: `memory for ${folders * 100} entries that the kernel knows`,
        ours: mebibytes(grown),
        target: `< ${mebibytes(MEMORY_LIMIT)}`,
        met: grown < MEMORY_LIMIT,
      },
    ]
  }

  /** The floor: a mount with nothing behind it, which Node.js and mount(8) have to start for, too. */
  async function ready() {
    const start = (/** @type {import('./lib/mounts.mjs').Mounter} */ mount) => async () => {
      const begun = performance.now()
      const view = await mount()
      const time = (performance.now() - begun) / 1000
      await view.close()
      return time
    }
    const { ready, bare } = await interleave(
      {
        ready: start(neveMount(store, names['small'] ?? '', mountpoint)),
        bare: start(bareMount(LARGE, place)),
      },
      ROUNDS,
    )
    return [
      {
        job: 'command started to mount answering',
        ours: seconds(ready),
        target: `< ${seconds(READY_LIMIT)}`,
        met: ready < READY_LIMIT,
      },
      { job: '  (the bare loop)', ours: seconds(bare) },
    ]
  }
})

/**
 * @param {string} root made here
 * @param {number} folders one: the files lie in `root` itself
 * @param {number} files in each
 */
function writeEmptyish(root, folders, files) {
  mkdirSync(root)
  for (let folder = 0; folder < folders; folder++) {
    const path = folders === 1 ? root : join(root, `folder-${folder}`)
    if (folders > 1) mkdirSync(path)
    for (let file = 0; file < files; file++) writeFileSync(join(path, `file-${file}`), `${folder}/${file}`)
  }
}
