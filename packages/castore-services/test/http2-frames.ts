import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Frames of HTTP/2, made by hand, for clients that no library would make. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const DATA = 0
export const HEADERS = 1
export const RST_STREAM = 3
export const SETTINGS = 4
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9
export const END_STREAM = 1
export const END_HEADERS = 4

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

export function uint32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

/** Header fields as literals, which no table remembers. */
export function fields(pairs: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    pairs.flatMap(([name, value]) => [
      Buffer.of(0, name.length),
      Buffer.from(name),
      Buffer.of(value.length),
      Buffer.from(value),
    ]),
  )
}

/** The fields of a call. */
export function callFields(path: string): Buffer {
  return fields([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ])
}

/** The bytes that a client begins with. */
export const OPENING = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)])

/** A connection of which every byte is ours. */
export async function rawClient(address: string) {
  const socket = connect(Number(address.split(':').at(-1)), '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await once(socket, 'connect')
  return { socket, closed }
}

/** Reads what a server says until it says that it wants no more: GOAWAY, with a code that is an error. */
export function toldToGo(socket: Socket): Promise<void> {
  let received = Buffer.alloc(0)
  return new Promise((resolve) => {
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data])
      while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
        const length = received.readUIntBE(0, 3)
        if (received[3] === GOAWAY && received.readUInt32BE(9 + 4) !== 0) resolve()
        received = received.subarray(9 + length)
      }
    })
  })
}
