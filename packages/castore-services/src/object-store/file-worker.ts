import { parentPort, workerData } from 'node:worker_threads'
import { FileBatchWriter, type FileRound } from './file-batch.js'

/** What the thread is told once. */
export interface FileWorkerData {
  readonly root: string
  readonly syncFilesystem: boolean
}

/** The objects of one round: the contents lie one after the other. */
export interface FileWorkerRequest {
  readonly contents: ArrayBuffer
  /** One a line. */
  readonly keys: string
  readonly lengths: readonly number[]
  readonly ifAbsent: readonly boolean[]
}

/** What became of them; the memory of their contents comes back. */
export interface FileWorkerReply {
  readonly round: FileRound
  readonly contents: ArrayBuffer
}

/** A thread that writes the objects of a FileObjectStore. */
const { root, syncFilesystem } = (workerData ?? {}) as FileWorkerData
if (parentPort !== null) {
  const port = parentPort
  // Nobody sees the stacks of this thread, and taking them costs more than most system calls.
  Error.stackTraceLimit = 0
  const writer = new FileBatchWriter(root, syncFilesystem)
  port.on('message', ({ contents, keys, lengths, ifAbsent }: FileWorkerRequest) => {
    const names = keys.split('\n')
    let offset = 0
    const items = lengths.map((length, index) => {
      const content = new Uint8Array(contents, offset, length)
      offset += length
      return { key: names[index]!, content, ifAbsent: ifAbsent[index]! }
    })
    const reply: FileWorkerReply = { round: writer.round(items), contents }
    port.postMessage(reply, [contents])
  })
}
