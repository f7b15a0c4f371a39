// A thread of the bare verification: reads every so many-th stretch of records, expands and hashes each.
import { closeSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import { blake3 } from '@neve/castore-model'

const STRETCH = 2 << 20
const HEADER = 52
const PLACE = 4

const { DCtx } = createRequire(import.meta.url)('zstd-napi/binding.js')
/** @type {{ folder: string, numbers: Uint32Array, thread: number, threads: number }} */
const { folder, numbers, thread, threads } = workerData

const decompressor = new DCtx()
const stored = Buffer.allocUnsafe(2 * STRETCH)
const content = Buffer.allocUnsafe(2 * STRETCH)
const open = { segment: -1, descriptor: -1 }
for (let at = 0, stretch = 0; at < numbers.length; stretch++) {
  const [segment = 0, offset = 0] = numbers.subarray(at, at + 2)
  const first = at
  while (at < numbers.length && numbers[at] === segment && endOf(at) - offset <= STRETCH) at += PLACE
  if (at === first) throw new Error('a record is longer than a stretch')
  if (stretch % threads === thread) check(first, at, segment, offset)
}
if (open.descriptor >= 0) closeSync(open.descriptor)

/** @param {number} at */
function endOf(at) {
  return (numbers[at + 1] ?? 0) + HEADER + (numbers[at + 2] ?? 0)
}

/**
 * @param {number} first
 * @param {number} last
 * @param {number} segment
 * @param {number} offset
 */
function check(first, last, segment, offset) {
  if (open.segment !== segment) {
    if (open.descriptor >= 0) closeSync(open.descriptor)
    open.segment = segment
    open.descriptor = openSync(join(folder, `${String(segment).padStart(10, '0')}.seg`), 'r')
  }
  const length = endOf(last - PLACE) - offset
  for (let done = 0; done < length; ) {
    const read = readSync(open.descriptor, stored, done, length - done, offset + done)
    if (read === 0) throw new Error(`segment ${segment} ends early`)
    done += read
  }
  for (let at = first; at < last; at += PLACE) {
    const start = (numbers[at + 1] ?? 0) - offset + HEADER
    const storedLength = numbers[at + 2] ?? 0
    const rawLength = numbers[at + 3] ?? 0
    const payload = stored.subarray(start, start + storedLength)
    if (storedLength === rawLength) {
      blake3.digest(payload)
      continue
    }
    const expanded = content.subarray(0, rawLength)
    decompressor.decompress(expanded, payload)
    blake3.digest(expanded)
  }
}
