// Reading and writing chunks of 256 KiB in S3 (versitygw on this machine): our store over Apache OpenDAL, and the AWS
// SDK for JavaScript where it is installed (`npm install @aws-sdk/client-s3` anywhere above this file).
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { openObjectStore } from '@neve/castore-services/object-store'
import { interleave, timed } from './lib/measure.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { heading, megabytes, printColumns, size } from './lib/table.mjs'
import { startVersitygw } from './lib/versitygw.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(5)
const OBJECTS = scaled(1000, 50)
const LENGTH = 256 * 1024
const AT_ONCE = 16
const PEER = '@aws-sdk/client-s3'
const content = randomBytes(LENGTH)
const names = Array.from({ length: OBJECTS }, (_, index) => `chunks/b3/${index}`)

await withWorkDir(async (dir) => {
  const server = await startVersitygw(dir.fresh('objects'))
  if (server === undefined) return console.log('(versitygw is not installed: see scripts/test-servers.mjs)')
  try {
    await measure(server)
  } finally {
    await server.stop()
  }
})

/** @param {NonNullable<Awaited<ReturnType<typeof startVersitygw>>>} server */
async function measure({ endpoint, options }) {
  const detail = `${OBJECTS} objects of ${LENGTH >> 10} KiB (${size(OBJECTS * LENGTH)}), ${AT_ONCE} at once, median of ${ROUNDS}`
  heading('clients of object stores', detail)
  const ours = await openObjectStore('s3://bucket', options)
  const peer = await openPeer(endpoint)
  if (peer === undefined) console.log(`(${PEER} is not installed: no comparison)`)

  /** @type {[string, Client][]} */
  const clients = [
    ['ours, OpenDAL', { read: (key) => ours.get(key), write: (key) => ours.put(key, content) }],
    ...(peer === undefined ? [] : [/** @type {[string, Client]} */ ([peer.name, peer.client])]),
  ]
  const lines = [['job', 'rate', 'seconds of CPU for a GB']]
  for (const job of /** @type {const} */ (['write', 'read'])) {
    /** @type {Record<string, number>} */
    const processor = {}
    const contestants = Object.fromEntries(
      clients.map(([name, client]) => [
        name,
        async () => {
          const before = process.cpuUsage()
          const seconds = await timed(() => all(client[job]))
          const { user, system } = process.cpuUsage(before)
          processor[name] = (processor[name] ?? 0) + (user + system) / 1e6 / ROUNDS
          return seconds
        },
      ]),
    )
    const times = await interleave(contestants, ROUNDS)
    for (const [name, seconds] of Object.entries(times)) {
      const cost = ((processor[name] ?? 0) * 1e9) / (OBJECTS * LENGTH)
      lines.push([`${job}: ${name}`, megabytes((OBJECTS * LENGTH) / seconds), cost.toFixed(2)])
    }
  }
  printColumns(lines)
}

/**
 * @typedef {object} Client
 * @property {(key: string) => Promise<unknown>} read
 * @property {(key: string) => Promise<unknown>} write
 */

/** @param {(key: string) => Promise<unknown>} work */
async function all(work) {
  let next = 0
  const run = async () => {
    while (next < names.length) await work(/** @type {string} */ (names[next++]))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, run))
}

/**
 * @param {string} endpoint
 * @returns {Promise<{ name: string, client: Client } | undefined>}
 */
async function openPeer(endpoint) {
  const require = createRequire(import.meta.url)
  let sdk
  try {
    sdk = require(PEER)
  } catch {
    return undefined
  }
  const client = new sdk.S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'testtesttest' },
  })
  return {
    name: `${PEER} ${require(`${PEER}/package.json`).version}`,
    client: {
      read: async (Key) => {
        const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: 'bucket', Key }))
        return Body.transformToByteArray()
      },
      write: (Key) => client.send(new sdk.PutObjectCommand({ Bucket: 'bucket', Key, Body: content })),
    },
  }
}
