import { parentPort, workerData } from 'node:worker_threads'
import { FileBatchWriter, type FileOutcome } from './file-batch.js'

/** What the thread is told once. */
export interface FileWorkerData {
  readonly root: string
  readonly syncFilesystem: boolean
}

/** One batch: the contents lie one after the other in `contents`. */
export interface FileWorkerRequest {
  readonly contents: ArrayBuffer
  readonly items: readonly {
    readonly key: string
    readonly offset: number
    readonly length: number
    readonly ifAbsent: boolean
  }[]
}

/** What became of its items, in their order. */
export type FileWorkerReply = readonly FileOutcome[]

/** The thread that writes the objects of a FileObjectStore. */
const { root, syncFilesystem } = (workerData ?? {}) as FileWorkerData
if (parentPort !== null) {
  const port = parentPort
  const writer = new FileBatchWriter(root, syncFilesystem)
  port.on('message', ({ contents, items }: FileWorkerRequest) => {
    const reply: FileWorkerReply = writer.write(
      items.map(({ key, offset, length, ifAbsent }) => ({
        key,
        content: new Uint8Array(contents, offset, length),
        ifAbsent,
      })),
    )
    port.postMessage(reply)
  })
}
