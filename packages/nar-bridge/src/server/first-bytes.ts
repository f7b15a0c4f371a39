import type { Socket } from 'node:net'

/** What HTTP/2 begins with where nobody asked for it (RFC 9113 section 3.4); no method of HTTP/1.1 begins so. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** So much of it tells it apart from PUT and POST. */
const ENOUGH = 3

/**
 * Looks at the first bytes of a connection, and leaves them where they are.
 *
 * @param patience milliseconds in which they must come; a connection that says nothing is closed after it
 * @param onKnown called at most once
 */
export function firstBytes(
  socket: Socket,
  patience: number,
  onKnown: (protocol: 'http1' | 'http2') => void,
): void {
  const timer = setTimeout(() => socket.destroy(), patience)
  const done = () => clearTimeout(timer)
  let head = Buffer.alloc(0)
  const look = () => {
    const piece = socket.read() as Buffer | null
    if (piece === null) return
    head = Buffer.concat([head, piece])
    const seen = head.subarray(0, ENOUGH)
    const maybe = PREFACE.subarray(0, seen.length).equals(seen)
    // Nothing is put back before that: it would be told of again at once, and for ever.
    if (maybe && seen.length < ENOUGH) return
    done()
    socket.off('readable', look)
    socket.off('close', done)
    socket.unshift(head)
    onKnown(maybe ? 'http2' : 'http1')
  }
  socket.once('close', done)
  socket.on('error', () => {})
  socket.on('readable', look)
}
