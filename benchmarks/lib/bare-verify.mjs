// What cannot be avoided when content is verified: reading it, expanding it, and BLAKE3 of it, once; with the same libraries
// and as many threads as a verification has, but nothing is looked up: each thread is told where records lie.
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { THREADS } from './bare-pipeline.mjs'

/** @typedef {{ segment: number, offset: number, storedLength: number, rawLength: number }} Place */

/**
 * Where all content of an embedded store lies, in the order in which it lies.
 *
 * @param {string} store folder
 * @returns {Promise<readonly Place[]>}
 */
export async function placesOf(store) {
  const engine = await EmbeddedStore.open(store, { readOnly: true })
  const places = Array.from(engine.locations(), ([, location]) => location)
  await engine.close()
  return places.sort((a, b) => a.segment - b.segment || a.offset - b.offset)
}

/**
 * @param {string} store folder
 * @param {readonly Place[]} places
 */
export async function bareVerify(store, places) {
  const numbers = Uint32Array.from(
    places.flatMap(({ segment, offset, storedLength, rawLength }) => [
      segment,
      offset,
      storedLength,
      rawLength,
    ]),
  )
  await Promise.all(
    Array.from({ length: THREADS }, (_, thread) => {
      const workerData = { folder: join(store, 'segments'), numbers, thread, threads: THREADS }
      const worker = new Worker(new URL('./bare-verify-worker.mjs', import.meta.url), { workerData })
      return new Promise((resolve, reject) => {
        worker.on('error', reject)
        worker.on('exit', resolve)
      })
    }),
  )
}
