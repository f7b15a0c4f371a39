// Blobs and directories over gRPC: client and server in processes of their own, on a unix socket, everything verified.
// Against the same bytes over HTTP/2 without gRPC, hashed too.
import './lib/heap.mjs'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { B3Digest, Directory, PathComponent } from '@neve/castore-model'
import { GrpcBlobService, GrpcDirectoryService, openGrpcChannel } from '@neve/castore-services/grpc'
import { download, upload } from './lib/blob-streams.mjs'
import { ContentSource } from './lib/content.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { connectPlain, plainGet, plainPut } from './lib/plain-http2.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareRates, heading, printTable, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const LARGE = scaled(256 * 1024 * 1024, 1024 * 1024)
const SMALL = scaled(10_000, 100)
const SMALL_SIZE = 4000
const AT_ONCE = 64
const DIRECTORIES = scaled(20_000, 100)
const FAN_OUT = 20
const MODULE = fileURLToPath(new URL('lib/grpc-server.mjs', import.meta.url))

/** @typedef {Awaited<ReturnType<typeof start>>} Pair */

await withWorkDir(async (dir) => {
  heading('gRPC', `unix socket, client and server apart, memory behind it; median of ${ROUNDS}`)
  console.log('peer: HTTP/2 of Node without gRPC, the same bytes, hashed at both ends')
  const rows = []
  for (const chunked of [true, false]) {
    const pair = await start(dir.fresh('grpc'), dir.fresh('plain'), chunked)
    rows.push(
      ...(chunked
        ? [...(await large(pair)), ...(await small(pair)), ...(await closure(pair))]
        : await whole(pair)),
    )
    await pair.stop()
  }
  printTable(rows)
})

/** @param {Pair} pair */
async function large({ blobs, plain }) {
  const source = new ContentSource(11)
  const content = source.random(LARGE)
  const digest = B3Digest.of(content)
  await upload(blobs, content)
  await (await blobs.open(digest))?.close()
  const times = await interleave(
    {
      up: () => timed(() => upload(blobs, content)),
      plainUp: () => timed(() => plainPut(plain, content)),
      down: () => timed(() => download(blobs, digest)),
      plainDown: () => timed(() => plainGet(plain, digest)),
    },
    ROUNDS,
  )
  const target = { rate: 300e6 }
  return [
    compareRates(`one blob of ${size(LARGE)} up`, LARGE / times.up, LARGE / times.plainUp, target),
    compareRates('the same down, by the chunk', LARGE / times.down, LARGE / times.plainDown, target),
  ]
}

/** @param {Pair} pair */
async function whole({ blobs, plain }) {
  const content = new ContentSource(12).random(LARGE)
  const digest = await upload(blobs, content)
  const times = await interleave(
    {
      down: () => timed(() => download(blobs, digest)),
      plainDown: () => timed(() => plainGet(plain, digest)),
    },
    ROUNDS,
  )
  return [
    compareRates('the same without chunks, by way of a file', LARGE / times.down, LARGE / times.plainDown),
  ]
}

/** @param {Pair} pair */
async function small({ blobs, plain }) {
  const source = new ContentSource(13)
  const contents = Array.from({ length: SMALL }, () => source.random(SMALL_SIZE))
  const digests = contents.map((content) => B3Digest.of(content))
  const times = await interleave(
    {
      put: () => timed(() => each(contents, (content) => blobs.put(content))),
      plainPut: () => timed(() => each(contents, (content) => plainPut(plain, content))),
      get: () => timed(() => each(digests, (digest) => blobs.get(digest))),
      plainGet: () => timed(() => each(digests, (digest) => plainGet(plain, digest))),
      has: () => timed(() => each(digests, (digest) => blobs.has(digest))),
    },
    ROUNDS,
  )
  const what = `${SMALL} blobs of ${SMALL_SIZE} bytes, ${AT_ONCE} at once`
  return [
    perSecond(`put of ${what}`, SMALL / times.put, SMALL / times.plainPut),
    perSecond('get of the same', SMALL / times.get, SMALL / times.plainGet, 5000),
    perSecond('has of the same', SMALL / times.has),
  ]
}

/** @param {Pair} pair */
async function closure({ directories }) {
  const tree = makeTree()
  const root = /** @type {Directory} */ (tree.at(-1))
  const put = async () => {
    const putter = directories.putMultipleStart()
    for (const directory of tree) await putter.put(directory)
    await putter.close()
  }
  const get = async () => {
    let count = 0
    for await (const _directory of directories.getRecursive(root.digest())) count += 1
    if (count !== tree.length) throw new Error(`expected ${tree.length} directories, got ${count}`)
  }
  const times = await interleave({ put: () => timed(put), get: () => timed(get) }, ROUNDS)
  return [
    { job: `closure of ${tree.length} directories up`, ours: `${times.put.toFixed(2)} s` },
    { job: 'the same down', ours: `${times.get.toFixed(2)} s`, target: '< 2 s', met: times.get < 2 },
  ]
}

/** Directories with a few files each, children first. */
function makeTree() {
  const file = /** @type {const} */ ({ kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false })
  let level = Array.from({ length: DIRECTORIES }, (_, index) =>
    Directory.fromEntries([0, 1, 2].map((file_) => [PathComponent.from(`file ${index} ${file_}`), file])),
  )
  const all = [...level]
  while (level.length > 1) {
    const parents = []
    for (let at = 0; at < level.length; at += FAN_OUT) {
      const children = level.slice(at, at + FAN_OUT)
      parents.push(
        Directory.fromEntries(
          children.map((child, index) => [PathComponent.from(`child ${index}`), child.toNode()]),
        ),
      )
    }
    level = parents
    all.push(...level)
  }
  return all
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<unknown>} work
 */
async function each(items, work) {
  const iterator = items.values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of iterator) await work(item)
    }),
  )
}

/**
 * @param {string} job
 * @param {number} ours
 * @param {number} [peer]
 * @param {number} [target]
 */
function perSecond(job, ours, peer, target) {
  return {
    job,
    ours: `${ours.toFixed(0)}/s`,
    ...(peer !== undefined && {
      peer: `${peer.toFixed(0)}/s`,
      ratio: `${((100 * ours) / peer).toFixed(0)} %`,
    }),
    ...(target !== undefined && { target: `>= ${target}/s`, met: ours >= target }),
  }
}

/**
 * @param {string} grpcSocket
 * @param {string} plainSocket
 * @param {boolean} chunked
 */
async function start(grpcSocket, plainSocket, chunked) {
  const child = fork(MODULE, [grpcSocket, plainSocket, chunked ? 'chunked' : 'whole'])
  await once(child, 'message')
  const channel = await openGrpcChannel(`grpc+unix:${grpcSocket}`, { waitConnect: true })
  const plain = await connectPlain(plainSocket)
  const stop = async () => {
    plain.destroy()
    await channel.close()
    child.disconnect()
    await once(child, 'exit')
  }
  return { blobs: new GrpcBlobService(channel), directories: new GrpcDirectoryService(channel), plain, stop }
}
