// A thread of the bare pipeline: reads every so many-th slab of a file, hashes it, cuts it and compresses each chunk.
import { closeSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { blake3 } from '@neve/castore-model'
import { Cutter } from '@neve/fastcdc'

const SLAB = 4 << 20
const LEVEL = 1

const { CCtx, CParameter } = createRequire(import.meta.url)('zstd-napi/binding.js')
/** @type {{ path: string, size: number, thread: number, threads: number, chunkDigests: boolean }} */
const { path, size, thread, threads, chunkDigests } = workerData

const descriptor = openSync(path, 'r')
const slab = Buffer.allocUnsafe(SLAB)
const cutter = new Cutter()
const compressor = new CCtx()
compressor.setParameter(CParameter.compressionLevel, LEVEL)
const frame = Buffer.allocUnsafe(cutter.sizes.max + (cutter.sizes.max >>> 7) + 1024)
const hasher = blake3.hasher()
let compressed = 0
for (let offset = thread * SLAB; offset < size; offset += threads * SLAB) {
  const length = readSlab(offset, Math.min(SLAB, size - offset))
  hasher.update(slab.subarray(0, length))
  for (let at = 0; at < length; ) {
    const cut = cutter.cut(slab, at, length, true)
    const chunk = slab.subarray(at, at + cut)
    if (chunkDigests) blake3.digest(chunk)
    compressed += compressor.compress2(frame, chunk)
    at += cut
  }
}
hasher.digest()
closeSync(descriptor)
parentPort?.postMessage(compressed)

/**
 * @param {number} offset
 * @param {number} length
 */
function readSlab(offset, length) {
  let done = 0
  while (done < length) {
    const read = readSync(descriptor, slab, done, length - done, offset + done)
    if (read === 0) throw new Error(`${path}: expected ${size} bytes, got ${offset + done}`)
    done += read
  }
  return done
}
