import type { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import { discard, type Reply, type ReplyStream } from '../exchange.js'

/** Sends a reply. A body that cannot be sent whole ends in a reset of the connection, never in what looks whole. */
export async function sendReply(response: ServerResponse, reply: Reply): Promise<void> {
  if (response.destroyed) {
    await sendsNothing(reply)
    return
  }
  response.writeHead(reply.status, reply.headers)
  try {
    await sendBody(response, reply)
  } catch {
    reset(response)
  }
}

/** Lets go of a reply for which nobody waits any more. */
export function sendsNothing({ body }: Reply): Promise<void> {
  return discard(body)
}

/**
 * Sends the body of a reply whose headers were sent, and ends it.
 *
 * @param onSent told of each piece that the system has, in bytes
 * @throws what the body fails with, and an error when it has another length than was announced, or the client left
 */
export async function sendBody(
  out: Writable,
  { body }: Reply,
  onSent?: (length: number) => void,
): Promise<void> {
  if (typeof body === 'object' && 'source' in body) await sendStream(out, body, onSent)
  else if (body !== undefined) {
    onSent?.(Buffer.byteLength(body))
    out.end(body)
    return
  }
  out.end()
}

/** A client that knows no length takes a closed connection for the end of the body; proxies often do. */
function reset(response: ServerResponse): void {
  // Only TCP knows of resets.
  if (response.socket?.remoteAddress === undefined) response.destroy()
  else response.socket.resetAndDestroy()
}

async function sendStream(
  out: Writable,
  { source, length }: ReplyStream,
  onSent?: (length: number) => void,
): Promise<void> {
  let left = length
  for await (const piece of source) {
    if (left !== undefined) {
      left -= BigInt(piece.length)
      if (left < 0n) throw new Error('the body is longer than was announced')
    }
    await written(out, piece)
    onSent?.(piece.length)
  }
  if (left !== undefined && left > 0n) throw new Error('the body is shorter than was announced')
}

/** Waits until the system has the bytes: only then may whoever they came from use their place again. */
function written(out: Writable, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('the client went away'))
    if (out.destroyed) {
      gone()
      return
    }
    out.once('close', gone)
    out.write(piece, (error) => {
      out.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}
