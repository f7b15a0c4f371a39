import { connect, createServer, type Socket } from 'node:net'

/** Which way bytes go: `up` to the server, `down` to the client. */
export type Direction = 'up' | 'down'

/** What becomes of the bytes of one direction, from a certain one on. */
export type Fault =
  /** Both connections are torn down. */
  | { readonly kind: 'cut'; readonly after: number }
  /** As if one side had said that it sends no more. */
  | { readonly kind: 'end'; readonly after: number }
  /** Nothing goes on, nothing is closed: the cable is out. */
  | { readonly kind: 'stall'; readonly after: number }
  /** So many bytes are something else, and then it goes on. */
  | { readonly kind: 'garbage'; readonly after: number; readonly length: number }
  /** One bit is turned. */
  | { readonly kind: 'flip'; readonly after: number }
  /** So many bytes at a time, one lot each turn of the event loop. */
  | { readonly kind: 'drip'; readonly bytes: number }

/** Sits between a client and a server, and does what networks do. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** What to do to connections from now on; undefined is nothing. */
  faults: Partial<Record<Direction, Fault>>
  /** Only the next connection has the faults: those after it are sound. Default: false. */
  once: boolean
  /** Bytes that have come from each side, over all connections. */
  readonly seen: Readonly<Record<Direction, number>>
  /** Connections that were made. */
  readonly connections: number
  /** Where the pieces that came from each side ended, over all connections: what a cut between messages is. */
  readonly ends: Readonly<Record<Direction, readonly number[]>>
  /** Forgets what it has counted. */
  reset(): void
}

/** Starts a proxy for a server on this machine. */
export async function tcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const seen = { up: 0, down: 0 }
  const ends: Record<Direction, number[]> = { up: [], down: [] }
  let connections = 0
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    return socket.setNoDelay()
  }
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    connections += 1
    const server = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    keep(client)
    keep(server)
    const { up, down } = proxy.faults
    if (proxy.once) proxy.faults = {}
    const tearDown = () => {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    const count = (direction: Direction, length: number) => {
      seen[direction] += length
      ends[direction].push(seen[direction])
    }
    forward(client, server, up, tearDown, (length) => count('up', length))
    forward(server, client, down, tearDown, (length) => count('down', length))
  })
  const port = await new Promise<number>((resolve, reject) => {
    listener.on('error', reject)
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const proxy: TcpProxy = {
    port,
    faults: {},
    once: false,
    seen,
    ends,
    get connections() {
      return connections
    },
    reset: () => {
      seen.up = 0
      seen.down = 0
      ends.up.length = 0
      ends.down.length = 0
      connections = 0
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
  return proxy
}

function forward(
  from: Socket,
  to: Socket,
  fault: Fault | undefined,
  tearDown: () => void,
  count: (length: number) => void,
): void {
  let passed = 0
  let stopped = false
  const dripping: Buffer[] = []
  from.on('data', (bytes) => {
    count(bytes.length)
    if (stopped) return
    const start = passed
    passed += bytes.length
    if (fault?.kind === 'drip') {
      from.pause()
      dripping.push(bytes)
      drip(from, to, dripping, fault.bytes)
      return
    }
    if (fault === undefined || passed <= fault.after) {
      to.write(bytes)
      return
    }
    const at = Math.max(0, fault.after - start)
    if (fault.kind === 'garbage' || fault.kind === 'flip') {
      to.write(spoilt(bytes, start, fault))
      return
    }
    stopped = true
    const last = bytes.subarray(0, at)
    if (fault.kind === 'end') to.end(last)
    else if (fault.kind === 'stall') to.write(last)
    else to.write(last, tearDown)
  })
  from.on('end', () => {
    if (!stopped && dripping.length === 0) to.end()
  })
  from.on('close', () => {
    if (fault?.kind !== 'stall') to.destroy()
  })
}

function spoilt(
  bytes: Buffer,
  start: number,
  fault: Extract<Fault, { readonly kind: 'garbage' | 'flip' }>,
): Buffer {
  const copy = Buffer.from(bytes)
  const end = fault.kind === 'flip' ? fault.after + 1 : fault.after + fault.length
  for (let place = Math.max(start, fault.after); place < Math.min(end, start + bytes.length); place++) {
    copy[place - start]! = fault.kind === 'flip' ? copy[place - start]! ^ 8 : (place * 167 + 13) % 256
  }
  return copy
}

function drip(from: Socket, to: Socket, waiting: Buffer[], size: number): void {
  const head = waiting[0]
  if (head === undefined || to.destroyed) {
    from.resume()
    return
  }
  to.write(head.subarray(0, size))
  if (head.length > size) waiting[0] = head.subarray(size)
  else waiting.shift()
  setImmediate(() => drip(from, to, waiting, size))
}
