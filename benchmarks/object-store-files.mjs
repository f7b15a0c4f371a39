// The object store in local files alone: as many small objects as the import of 40,000 small files makes, and chunks of
// 256 KiB, each durable before it is acknowledged. Against one file that is written and synced for each object.
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FileObjectStore } from '@neve/castore-services/object-store'
import { interleave, timed } from './lib/measure.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { heading, printColumns, seconds } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const SMALL = scaled(40_000, 100)
const LARGE = scaled(4000, 10)
const chunk = randomBytes(256 * 1024)
const small = randomBytes(1800)
const nothing = new Uint8Array(0)

await withWorkDir(async (dir) => {
  heading('object store in files', `median of ${ROUNDS}`)
  console.log(
    'peer: for each object write, fsync, rename, fsync of the folder; a fifth of the objects, times five',
  )
  const lines = [['job', 'ours', 'peer', 'ratio', 'CPU ours', 'CPU peer']]
  for (const [job, count, atOnce, content, metadata] of /** @type {const} */ ([
    [`put ${SMALL} blobs of 1.8 kB: ${2 * SMALL} objects, 1024 at once`, SMALL, 1024, small, true],
    [`put ${LARGE} chunks of 256 KiB, 64 at once`, LARGE, 64, chunk, false],
  ])) {
    const processor = { ours: 0, peer: 0 }
    const { ours, peer } = await interleave(
      {
        ours: async () => {
          dir.settle()
          const store = new FileObjectStore({ root: dir.fresh('store') })
          const before = process.cpuUsage()
          const seconds = await timed(() =>
            each(keys(count), atOnce, async (key) => {
              await store.put(`chunks/b3/${key}`, content)
              if (metadata) await store.put(`blobs/b3/${key}`, nothing)
            }),
          )
          processor.ours += processorTime(before) / ROUNDS
          await store.close()
          return seconds
        },
        peer: async () => {
          dir.settle()
          const root = dir.fresh('store')
          const before = process.cpuUsage()
          const seconds = await timed(() =>
            each(keys(Math.ceil(count / 5)), 64, async (key) => {
              await putAlone(join(root, 'chunks/b3', key), content)
              if (metadata) await putAlone(join(root, 'blobs/b3', key), nothing)
            }),
          )
          processor.peer += (processorTime(before) * 5) / ROUNDS
          return seconds * 5
        },
      },
      ROUNDS,
    )
    const ratio = `${(peer / ours).toFixed(2)}x`
    lines.push([job, seconds(ours), seconds(peer), ratio, seconds(processor.ours), seconds(processor.peer)])
  }
  printColumns(lines)
})

/**
 * @param {NodeJS.CpuUsage} before
 * @returns {number} seconds
 */
function processorTime(before) {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

/** @param {number} count */
function keys(count) {
  return Array.from({ length: count }, () => {
    const digest = randomBytes(32).toString('hex')
    return `${digest.slice(0, 4)}/${digest}`
  })
}

/**
 * @param {readonly string[]} items
 * @param {number} atOnce
 * @param {(item: string) => Promise<void>} work
 */
async function each(items, atOnce, work) {
  let next = 0
  const run = async () => {
    while (next < items.length) await work(/** @type {string} */ (items[next++]))
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}

/**
 * @param {string} path
 * @param {Uint8Array} content
 */
async function putAlone(path, content) {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(`${path}~`, 'wx')
  await file.writeFile(content)
  await file.sync()
  await file.close()
  await rename(`${path}~`, path)
  const folder = await open(dirname(path), 'r')
  await folder.sync()
  await folder.close()
}
