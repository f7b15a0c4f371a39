// The other end of the gRPC benchmark, in a process of its own: blobs and directories in memory, over gRPC on one socket
// and over HTTP/2 without gRPC on another.
import './heap.mjs'
import { once } from 'node:events'
import { createServer } from 'node:http2'
import { B3Digest, blake3 } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { castoreServer } from '@neve/castore-services/grpc/server'

const CHUNK = 256 * 1024
const WINDOW = 8 * 1024 * 1024

/** Memory that keeps the first blob that is streamed to it. Of the others it finds the digest only: storing is not gRPC. */
class Memory extends MemoryBlobService {
  #kept = false

  /** @override */
  openWrite() {
    if (!this.#kept) {
      this.#kept = true
      return super.openWrite()
    }
    const hasher = blake3.hasher()
    const nothing = async () => {}
    return {
      /** @param {Uint8Array} bytes */
      write: async (bytes) => void hasher.update(bytes),
      flush: nothing,
      close: async () => B3Digest.adopt(hasher.digest()),
      abort: nothing,
      [Symbol.asyncDispose]: nothing,
    }
  }
}

/** Memory that tells of chunks, as a store that chunks does. */
class ChunkedMemory extends Memory {
  /** @type {Map<string, import('@neve/castore-services').ChunkMeta[]>} */
  #lists = new Map()

  /**
   * @param {B3Digest} digest
   * @override
   */
  async chunks(digest) {
    const content = await this.get(digest, { maxSize: Number.MAX_SAFE_INTEGER })
    if (content === undefined || content.length <= CHUNK) return content && []
    let list = this.#lists.get(digest.key)
    if (list === undefined) {
      list = []
      for (let at = 0; at < content.length; at += CHUNK) {
        const piece = content.subarray(at, at + CHUNK)
        list.push({ digest: await this.put(piece), size: BigInt(piece.length) })
      }
      this.#lists.set(digest.key, list)
    }
    return list
  }
}

const [grpcSocket, plainSocket, chunked] = process.argv.slice(2)
if (grpcSocket === undefined || plainSocket === undefined) throw new Error('expected two sockets')
const blobs = chunked === 'chunked' ? new ChunkedMemory() : new Memory()
const server = castoreServer({ blobs, directories: new MemoryDirectoryService(), onError: console.error })
await server.listen(grpcSocket)

const plain = createServer({ settings: { initialWindowSize: WINDOW } })
plain.on('session', (session) => session.setLocalWindowSize(WINDOW))
plain.on('stream', async (stream, headers) => {
  if (headers[':method'] === 'POST') {
    /** @type {Uint8Array[]} */
    const pieces = []
    let length = 0
    const hasher = blake3.hasher()
    for await (const piece of stream) {
      length += piece.length
      hasher.update(piece)
      if (length < CHUNK) pieces.push(piece)
    }
    if (length < CHUNK) await blobs.put(Buffer.concat(pieces))
    stream.respond({ ':status': 200 })
    stream.end(hasher.digest())
    return
  }
  const digest = B3Digest.parse(String(headers[':path']).slice(1))
  stream.respond({ ':status': 200 })
  const content = (await blobs.get(digest, { maxSize: Number.MAX_SAFE_INTEGER })) ?? new Uint8Array(0)
  for (let at = 0; at < content.length; at += CHUNK) {
    if (!stream.write(content.subarray(at, at + CHUNK))) await once(stream, 'drain')
  }
  stream.end()
})
plain.listen(plainSocket, () => process.send?.('ready'))
process.on('disconnect', () => process.exit())
