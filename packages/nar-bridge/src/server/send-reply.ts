import type { ServerResponse } from 'node:http'
import { discard, type Reply, type ReplyStream } from '../exchange.js'

/** Sends a reply. A body that cannot be sent whole ends in a reset of the connection, never in what looks whole. */
export async function sendReply(response: ServerResponse, { status, headers, body }: Reply): Promise<void> {
  if (response.destroyed) {
    await discard(body)
    return
  }
  response.writeHead(status, headers)
  if (typeof body !== 'object' || !('source' in body)) {
    response.end(body)
    return
  }
  try {
    await sendStream(response, body)
    response.end()
  } catch {
    reset(response)
  }
}

/** A client that knows no length takes a closed connection for the end of the body; proxies often do. */
function reset(response: ServerResponse): void {
  // Only TCP knows of resets.
  if (response.socket?.remoteAddress === undefined) response.destroy()
  else response.socket.resetAndDestroy()
}

async function sendStream(response: ServerResponse, { source, length }: ReplyStream): Promise<void> {
  let left = length
  for await (const piece of source) {
    if (left !== undefined) {
      left -= BigInt(piece.length)
      if (left < 0n) throw new Error('the body is longer than was announced')
    }
    await written(response, piece)
  }
  if (left !== undefined && left > 0n) throw new Error('the body is shorter than was announced')
}

/** Waits until the system has the bytes: only then may whoever they came from use their place again. */
function written(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('the client went away'))
    if (response.destroyed) {
      gone()
      return
    }
    response.once('close', gone)
    response.write(piece, (error) => {
      response.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}
