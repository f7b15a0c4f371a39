// What cannot be avoided when a file is stored: reading it, BLAKE3 of the whole, FastCDC, and zstd at level 1 of each
// chunk; with the same libraries and as many threads as an import has, but nothing is put together, kept or written.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** As many as an import starts. */
export const THREADS = Math.min(availableParallelism(), 8)

/**
 * @param {string} path
 * @param {number} size of the file, in bytes
 * @param {{ readonly chunkDigests?: boolean }} [options] `chunkDigests`: BLAKE3 of each chunk as well, which a chunked
 *   store needs besides
 * @returns {Promise<number>} seconds
 */
export async function barePipeline(path, size, { chunkDigests = false } = {}) {
  const start = performance.now()
  await Promise.all(
    Array.from({ length: THREADS }, (_, thread) => {
      const workerData = { path, size, thread, threads: THREADS, chunkDigests }
      const worker = new Worker(new URL('./bare-worker.mjs', import.meta.url), { workerData })
      return new Promise((resolve, reject) => {
        worker.on('error', reject)
        worker.on('exit', resolve)
      })
    }),
  )
  return (performance.now() - start) / 1000
}
