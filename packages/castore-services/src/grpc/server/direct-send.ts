import type { ServerHttp2Stream } from 'node:http2'
import { BLOB_CHUNK_HEADER, writeBlobChunkHeader } from '../blob-chunk.js'
import { BLOB_GRPC_SERVICE } from '../castore-definitions.js'
import { FRAME_HEADER, writeFrameLength } from '../message-frames.js'

/** The part of grpc-js' calls that sends. */
interface SendingCall {
  readonly stream?: ServerHttp2Stream | undefined
  sendMetadata(metadata: undefined): void
  sendMessage(message: unknown, callback: () => void): void
}

/** From how many bytes on two copies of a message cost more than a write of its own. */
const LARGE = 16 * 1024
const PATHS: ReadonlySet<string> = new Set(
  [...BLOB_GRPC_SERVICE.generations.values()].map(({ Read }) => Read.path),
)

/**
 * An interceptor for grpc-js servers that sends the data of blobs from where they are: the library would copy them
 * twice, which costs more than all the rest of a download.
 */
export function directSend({ path }: { readonly path: string }, call: SendingCall): SendingCall {
  const { stream } = call
  if (stream === undefined || !PATHS.has(path)) return call
  const send = call.sendMessage.bind(call)
  call.sendMessage = (message, callback) => {
    if (!(message instanceof Uint8Array) || message.length < LARGE) return send(message, callback)
    if (stream.destroyed || stream.closed) return
    call.sendMetadata(undefined)
    stream.cork()
    stream.write(header(message.length))
    stream.write(message, (error) => {
      // A stream that broke says so to the call itself.
      if (!error) callback()
    })
    stream.uncork()
  }
  return call
}

/** What comes before the data of a message, on the wire. */
function header(length: number): Uint8Array {
  const out = Buffer.alloc(FRAME_HEADER + BLOB_CHUNK_HEADER)
  const tag = writeBlobChunkHeader(out, out.length, length)
  writeFrameLength(out, tag - FRAME_HEADER, out.length - tag + length)
  return out.subarray(tag - FRAME_HEADER)
}
