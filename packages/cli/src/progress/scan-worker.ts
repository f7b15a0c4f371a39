import { type Dirent, lstatSync, readdirSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

/** Counts the files below a path and their bytes, and posts the sums once. */
function scan(root: Buffer): { files: number; bytes: number } {
  let files = 0
  let bytes = 0
  const waiting = [root]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const stat = lstatSync(path)
    if (stat.isFile()) {
      files++
      bytes += stat.size
    } else if (stat.isDirectory()) {
      for (const entry of readdirSync(path, {
        withFileTypes: true,
        encoding: 'buffer',
      }) as Dirent<Buffer>[]) {
        if (!entry.isSymbolicLink()) waiting.push(Buffer.concat([path, Buffer.from('/'), entry.name]))
      }
    }
  }
  return { files, bytes }
}

const { path } = workerData as { readonly path: string | Uint8Array }
parentPort?.postMessage(scan(Buffer.from(path as Uint8Array)))
