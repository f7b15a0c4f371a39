import type { ServerHttp2Stream } from 'node:http2'

/** How much a client may go on to send after it was told the status, until it is cut off. */
const MAX_AFTER_STATUS = 16 * 1024 * 1024

/** Throws away what a client still sends, so that the stream comes to its end. */
export function discardRest(stream: ServerHttp2Stream): void {
  let length = 0
  stream.on('data', (data: Uint8Array) => {
    length += data.length
    // Who does not listen to the status would go on for ever.
    if (length > MAX_AFTER_STATUS) stream.close()
  })
  stream.resume()
}
