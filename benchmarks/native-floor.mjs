// The native calls of an import of the small files, and of rendering their NAR, with nothing around them: one warm thread,
// processor time. Nothing that makes these calls for each file takes less on all cores together; half of it is the least
// that two cores need.
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { blake3 } from '@neve/castore-model'
import { median } from './lib/measure.mjs'
import { rounds } from './lib/settings.mjs'
import { heading, printColumns } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const { CCtx, CParameter, DCtx } = createRequire(import.meta.url)('zstd-napi/binding.js')

const ROUNDS = rounds(5)
/** So many bytes are hashed at once for the NAR. */
const PIECE = 1 << 20
/** As the store compresses. */
const LEVEL = 1
const HASH_LOG = 14

await withWorkDir(async (dir) => {
  heading('the native calls of an import and of a rendering', `processor time, median of ${ROUNDS}`)
  const root = dir.fresh('small')
  writeSmallFiles(root)
  const paths = filesBelow(root)
  const contents = paths.map(read)
  const all = Buffer.concat(contents)
  const compressor = new CCtx()
  compressor.setParameter(CParameter.compressionLevel, LEVEL)
  compressor.setParameter(CParameter.hashLog, HASH_LOG)
  const decompressor = new DCtx()
  const room = Buffer.alloc(1 << 20)
  const frames = contents.flatMap((content) => {
    const length = compressor.compress2(room, content)
    return length < content.length ? [{ frame: Buffer.from(room.subarray(0, length)), content }] : []
  })
  /** @type {Record<string, () => void>} */
  const importing = {
    'open, stat, read, close': () => {
      for (const path of paths) read(path)
    },
    'BLAKE3 of each file': () => {
      for (const content of contents) blake3.digest(content)
    },
    'SHA-256 of all': () => {
      const hash = createHash('sha256')
      for (let at = 0; at < all.length; at += PIECE) hash.update(all.subarray(at, at + PIECE))
      hash.digest()
    },
    'zstd, level 1, of each file': () => {
      for (const content of contents) compressor.compress2(room, content)
    },
    'CRC-32 of each frame': () => {
      for (const { frame } of frames) crc32(frame)
    },
  }
  const rendering = {
    'expanding each frame': () => {
      for (const { frame, content } of frames)
        decompressor.decompress(room.subarray(0, content.length), frame)
    },
    'BLAKE3 of each file': /** @type {() => void} */ (importing['BLAKE3 of each file']),
  }
  const lines = [['job', 'µs a file', 'all']]
  for (const [job, calls] of Object.entries({ import: importing, rendering })) {
    let sum = 0
    for (const [name, call] of Object.entries(calls)) {
      call()
      const seconds = median(Array.from({ length: ROUNDS }, () => processorTime(call)))
      sum += seconds
      lines.push([`${job}: ${name}`, ...figures(seconds)])
    }
    lines.push([`${job}: together`, ...figures(sum)])
  }
  printColumns(lines)

  /** @param {number} seconds */
  function figures(seconds) {
    return [((seconds * 1e6) / paths.length).toFixed(1), `${seconds.toFixed(2)} s`]
  }
})

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

/** @param {string} path */
function read(path) {
  const descriptor = openSync(path, 'r')
  const content = Buffer.allocUnsafe(fstatSync(descriptor).size)
  readSync(descriptor, content, 0, content.length, null)
  closeSync(descriptor)
  return content
}

/** @param {() => void} job */
function processorTime(job) {
  const before = process.cpuUsage()
  job()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}
