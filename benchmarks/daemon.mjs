// A real `neve daemon` with a store on disk, on a unix socket and on TCP: the tree of small files through it against the
// direct import, and a large blob up and down. The floor of the blob is HTTP/2 of Node without gRPC, hashed at both
// ends, with memory behind it.
import './lib/heap.mjs'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { B3Digest } from '@neve/castore-model'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { download, upload } from './lib/blob-streams.mjs'
import { ContentSource } from './lib/content.mjs'
import { interleave, median, timed } from './lib/measure.mjs'
import { connectPlain, plainGet, plainPut } from './lib/plain-http2.mjs'
import { neve, run } from './lib/process.mjs'
import { NEVE, rounds, SCALE, scaled } from './lib/settings.mjs'
import { compareRates, compareTimes, heading, printTable, seconds, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

/** @typedef {import('./lib/work-dir.mjs').WorkDir} WorkDir */
/** @typedef {import('./lib/table.mjs').Row} Row */

const ROUNDS = rounds(3)
const LARGE = scaled(1024 ** 3, 1024 * 1024)
const PLAIN = Math.min(LARGE, 256 * 1024 * 1024)
const IMPORT_LIMIT = 4
const IMPORT_SHARE = 0.25
const TCP_SHARE = 0.8
const RATE = 300e6
const MODULE = fileURLToPath(new URL('lib/grpc-server.mjs', import.meta.url))

await withWorkDir(async (dir) => {
  heading('neve daemon', `store on disk, client and daemon apart; median of ${ROUNDS}`)
  const rows = [...(await trees(dir)), ...(await blobs(dir))]
  printTable(rows)
})

/**
 * The tree into a store of its own each time, cold start of the importing command included.
 *
 * @param {WorkDir} dir
 * @returns {Promise<Row[]>}
 */
async function trees(dir) {
  const tree = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(tree)
  /** @type {Set<string>} */
  const answers = new Set()
  /** @param {'unix' | 'tcp'} transport */
  const through = async (transport) => {
    const daemon = await startDaemon(dir)
    dir.settle()
    const address = daemon.urls[transport]
    const env = {
      NEVE_BLOB_SERVICE_ADDR: address,
      NEVE_DIRECTORY_SERVICE_ADDR: address,
      NEVE_PATH_INFO_SERVICE_ADDR: address,
    }
    const { seconds: time, stdout } = await run(process.execPath, [NEVE, 'import', tree], { env })
    answers.add(stdout.trim())
    await daemon.stop()
    return time
  }
  const times = await interleave(
    {
      direct: async () => {
        const store = dir.fresh('store')
        dir.settle()
        const { seconds: time, stdout } = await neve(store, ['import', tree])
        answers.add(stdout.trim())
        dir.remove(store)
        return time
      },
      unix: () => through('unix'),
      tcp: () => through('tcp'),
    },
    ROUNDS,
  )
  if (answers.size !== 1) throw new Error(`the store paths differ: ${[...answers].join(', ')}`)
  const what = `import of ${files} files, ${size(bytes)}`
  return [
    {
      job: `${what}, unix socket`,
      ours: seconds(times.unix),
      target: `<= ${IMPORT_LIMIT} s`,
      met: times.unix <= IMPORT_LIMIT * SCALE,
    },
    compareTimes('the same against the direct import', times.unix, times.direct, IMPORT_SHARE),
    compareTimes('the same over TCP against the unix socket', times.tcp, times.unix, TCP_SHARE),
  ]
}

/**
 * @param {WorkDir} dir
 * @returns {Promise<Row[]>}
 */
async function blobs(dir) {
  const source = new ContentSource(21)
  const plain = await startPlain(dir, source.random(PLAIN))
  const floor = { up: PLAIN / (await plain.time(plain.put)), down: PLAIN / (await plain.time(plain.get)) }
  await plain.stop()
  /** @type {Record<'unix' | 'tcp', Record<'up' | 'down', number[]>>} */
  const rates = { unix: { up: [], down: [] }, tcp: { up: [], down: [] } }
  const content = source.random(LARGE)
  const digest = B3Digest.of(content)
  for (let round = 0; round < ROUNDS; round++) {
    for (const transport of /** @type {const} */ (['unix', 'tcp'])) {
      const daemon = await startDaemon(dir)
      const channel = await openGrpcChannel(daemon.urls[transport], { waitConnect: true })
      const service = new GrpcBlobService(channel)
      dir.settle()
      rates[transport].up.push(LARGE / (await timed(() => upload(service, content))))
      dir.settle()
      rates[transport].down.push(LARGE / (await timed(() => download(service, digest))))
      await channel.close()
      await daemon.stop()
    }
  }
  const up = median(rates.unix.up)
  const down = median(rates.unix.down)
  const target = { rate: RATE }
  return [
    compareRates(`one blob of ${size(LARGE)} up, against HTTP/2 alone`, up, floor.up, target),
    compareRates('the same down', down, floor.down, target),
    compareRates('up over TCP, against the unix socket', median(rates.tcp.up), up, { share: TCP_SHARE }),
    compareRates('down over TCP', median(rates.tcp.down), down, { share: TCP_SHARE }),
  ]
}

/**
 * Starts `neve daemon` with a fresh store, listening on both.
 *
 * @param {WorkDir} dir
 */
async function startDaemon(dir) {
  const store = dir.fresh('store')
  const socket = dir.fresh('socket')
  const args = [NEVE, '--store', store, 'daemon', '-l', socket, '-l', '127.0.0.1:0']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  for await (const line of createInterface({ input: child.stderr })) {
    said += `${line}\n`
    if (line.includes('serving on')) break
  }
  const [unix, tcp] = [/grpc\+unix:\S+/, /grpc\+http:\S+/].map((pattern) => pattern.exec(said)?.[0])
  if (unix === undefined || tcp === undefined) throw new Error(`the daemon did not start: ${said}`)
  child.stderr.resume()
  const stop = async () => {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
    dir.remove(store)
  }
  return { urls: { unix, tcp }, stop }
}

/**
 * @param {WorkDir} dir
 * @param {Uint8Array} content
 */
async function startPlain(dir, content) {
  const [grpcSocket, plainSocket] = [dir.fresh('grpc'), dir.fresh('plain')]
  const child = fork(MODULE, [grpcSocket, plainSocket, 'whole'])
  await once(child, 'message')
  const channel = await openGrpcChannel(`grpc+unix:${grpcSocket}`)
  const digest = await upload(new GrpcBlobService(channel), content)
  await channel.close()
  const session = await connectPlain(plainSocket)
  /** @param {() => Promise<void>} job */
  const time = async (job) => {
    const times = []
    for (let round = 0; round < ROUNDS; round++) times.push(await timed(job))
    return median(times)
  }
  const stop = async () => {
    session.destroy()
    child.disconnect()
    await once(child, 'exit')
  }
  return { put: () => plainPut(session, content), get: () => plainGet(session, digest), time, stop }
}
