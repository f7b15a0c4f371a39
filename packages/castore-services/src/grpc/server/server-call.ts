import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { type CallContext, Metadata, Status } from 'nice-grpc-common'
import { FrameDecoder, FrameError, framedPieces } from '../message-frames.js'
import { type FinalStatus, headersOf, metadataOf, OK, statusHeaders, timeoutOf } from './call-metadata.js'
import { discardRest } from './discard-rest.js'
import type { HeldRequests, RequestHolder } from './held-requests.js'
import { serverError } from './status.js'

/** How many bytes of requests may wait until the client is held back. */
const MAX_WAITING = 1024 * 1024
/** How many bytes of answers may be under way until whoever makes them is held back. */
const MAX_UNSENT = 256 * 1024
/** The longest time that a timer can wait. */
const MAX_DELAY = 2 ** 31 - 1

const unzip = promisify(gunzip)

interface Received {
  readonly message: Uint8Array
  readonly compressed: boolean
}

/** How a {@link ServerCall} is made. */
export interface ServerCallInit {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  /** The longest message to accept, in bytes, compressed or not. */
  readonly maxMessageSize: number
  /** Whether more than one request may come. */
  readonly requestStream: boolean
  /** What this call and others hold. */
  readonly heldRequests: HeldRequests
}

/**
 * One call over HTTP/2, as its server sees it: requests as bytes, answers as bytes, and the status. It is over when the
 * status was said or the client has gone, whatever the implementation still does.
 */
export class ServerCall implements RequestHolder {
  readonly context: CallContext
  readonly #stream: ServerHttp2Stream
  readonly #requestStream: boolean
  readonly #maxMessageSize: number
  readonly #heldRequests: HeldRequests
  readonly #decoder: FrameDecoder
  readonly #received: Received[] = []
  #waiting = 0
  #held = 0
  #count = 0
  #requestsEnded = false
  #unsent = 0
  #over = false
  #trailers: OutgoingHttpHeaders = {}
  #failure: unknown
  #final: FinalStatus = OK
  #sent = 0
  #receivedBytes = 0
  #deadline: NodeJS.Timeout | undefined
  #controller: AbortController | undefined
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}

  constructor({ stream, headers, maxMessageSize, requestStream, heldRequests }: ServerCallInit) {
    this.#stream = stream
    this.#requestStream = requestStream
    this.#maxMessageSize = maxMessageSize
    this.#heldRequests = heldRequests
    this.#decoder = new FrameDecoder(maxMessageSize, headers['grpc-encoding'] === 'gzip')
    this.context = this.#makeContext(headers)
    stream.on('data', (data: Buffer) => this.#take(data))
    stream.on('end', () => this.#end())
    stream.on('close', () => this.#lost())
    stream.on('wantTrailers', () => this.#sendTrailers())
    this.#watchTime(headers)
  }

  /** How the call ended, once it is over; and the bytes of messages that came and went. */
  get outcome(): FinalStatus & { readonly sent: number; readonly received: number } {
    const { code, details } = this.#final
    return { code, details, sent: this.#sent, received: this.#receivedBytes }
  }

  /** Whether nobody waits for answers any more. */
  get over(): boolean {
    return this.#over
  }

  /** How many bytes of requests it holds. */
  get held(): number {
    return this.#held
  }

  evict(): void {
    this.#refuse(Status.RESOURCE_EXHAUSTED, 'too much is under way: requests are larger than max together')
  }

  /**
   * Waits for the next request.
   *
   * @returns undefined after the last one
   * @throws ServerError when the call is over, or the request cannot be read
   */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#received.length === 0) {
      if (this.#over) throw this.#failure ?? serverError(Status.CANCELLED, 'the call is over')
      if (this.#requestsEnded) return undefined
      await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
    const { message, compressed } = this.#received.shift()!
    const before = this.#waiting
    this.#waiting -= weightOf(message)
    this.#weigh()
    if (before > MAX_WAITING && this.#waiting <= MAX_WAITING) this.#stream.resume()
    return compressed ? await this.#decompressed(message) : message
  }

  /** Waits for the only request, and for its end. */
  async only(): Promise<Uint8Array> {
    const message = await this.next()
    if (message !== undefined && (await this.next()) === undefined) return message
    throw serverError(Status.UNIMPLEMENTED, 'no request, expected one')
  }

  /** Takes no further requests: those that come are thrown away. */
  ignoreRequests(): void {
    this.#received.length = 0
    this.#waiting = 0
    this.#requestsEnded = true
    this.#weigh()
    this.#stream.resume()
  }

  /**
   * Sends an answer, in pieces that have to stay as they are.
   *
   * @returns undefined when the next one may come at once, else what settles when it may
   */
  send(pieces: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#over) return undefined
    this.#begin()
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    this.#unsent += length
    this.#sent += length
    const sent = (): void => {
      this.#unsent -= length
      this.#wakeWriter()
    }
    const buffers = framedPieces(pieces, length)
    const last = buffers.length - 1
    if (last > 0) this.#stream.cork()
    for (const [index, buffer] of buffers.entries()) {
      if (index === last) this.#stream.write(buffer, sent)
      else this.#stream.write(buffer)
    }
    if (last > 0) this.#stream.uncork()
    return this.#unsent > MAX_UNSENT ? this.#room() : undefined
  }

  /** Ends the call with a status. Does nothing when it is over. */
  finish(status: FinalStatus = OK): void {
    if (this.#over) return
    this.#final = status
    this.#settle(serverError(Status.CANCELLED, 'the call is over'))
    this.#trailers = { ...statusHeaders(status), ...headersOf(this.context.trailer) }
    const stream = this.#stream
    if (stream.destroyed || stream.closed) return
    if (stream.headersSent) stream.end()
    else stream.respond({ ...this.#headers(), ...this.#trailers }, { endStream: true })
    discardRest(stream)
  }

  #headers(): OutgoingHttpHeaders {
    return { ':status': 200, 'content-type': 'application/grpc', ...headersOf(this.context.header) }
  }

  #begin(): void {
    const stream = this.#stream
    if (stream.headersSent || stream.destroyed || stream.closed) return
    stream.respond(this.#headers(), { waitForTrailers: true })
  }

  #sendTrailers(): void {
    if (!this.#stream.destroyed) this.#stream.sendTrailers(this.#trailers)
  }

  async #room(): Promise<void> {
    while (this.#unsent > MAX_UNSENT && !this.#over) {
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve))
    }
  }

  #take(data: Buffer): void {
    if (this.#over || this.#requestsEnded) return
    const before = this.#waiting
    try {
      this.#decoder.push(data, this.#onMessage)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      const code = error.code === 'too-large' ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL
      this.#refuse(code, error.message)
      return
    }
    this.#weigh()
    if (this.#waiting === before || this.#over) return
    if (this.#waiting > MAX_WAITING) this.#stream.pause()
    this.#wakeReader()
  }

  #weigh(): void {
    const before = this.#held
    const none = this.#over || this.#requestsEnded
    this.#held = this.#waiting + (none ? 0 : this.#decoder.held)
    if (this.#held !== before) this.#heldRequests.changed(this, before)
  }

  readonly #onMessage = (message: Uint8Array, compressed: boolean): void => {
    this.#count += 1
    if (this.#count > 1 && !this.#requestStream) {
      this.#refuse(Status.UNIMPLEMENTED, 'several requests, expected one')
      return
    }
    this.#received.push({ message, compressed })
    this.#receivedBytes += message.length
    this.#waiting += weightOf(message)
  }

  async #decompressed(message: Uint8Array): Promise<Uint8Array> {
    try {
      return await unzip(message, { maxOutputLength: Math.max(1, this.#maxMessageSize) })
    } catch (error) {
      const { code, message: reason } = error as NodeJS.ErrnoException
      if (code !== 'ERR_BUFFER_TOO_LARGE') {
        throw serverError(Status.INTERNAL, `unable to decompress a message: ${reason}`)
      }
      const limit = this.#maxMessageSize
      throw serverError(
        Status.RESOURCE_EXHAUSTED,
        `received message larger than max (more than ${limit} decompressed)`,
      )
    }
  }

  #end(): void {
    if (this.#over || this.#requestsEnded) return
    // A stream that was reset looks as if it had ended.
    if (this.#stream.closed) this.#lost()
    else if (!this.#decoder.atBoundary) this.#refuse(Status.INTERNAL, 'the requests end within a message')
    else {
      this.#requestsEnded = true
      this.#wakeReader()
    }
  }

  /** The client has gone. */
  #lost(): void {
    if (this.#over) return
    const failure = serverError(Status.CANCELLED, 'the call was cancelled')
    this.#final = failure
    this.#cancel(failure)
  }

  /** Ends the call because of what the client did. */
  #refuse(code: Status, details: string): void {
    const failure = serverError(code, details)
    this.finish(failure)
    this.#cancel(failure)
  }

  #cancel(failure: Error): void {
    this.#settle(failure)
    this.#controller ??= new AbortController()
    this.#controller.abort(failure)
    this.#wakeReader()
  }

  #settle(failure: unknown): void {
    this.#over = true
    this.#failure = failure
    this.#received.length = 0
    this.#waiting = 0
    this.#weigh()
    clearTimeout(this.#deadline)
    this.#wakeReader()
    this.#wakeWriter()
  }

  #watchTime(headers: IncomingHttpHeaders): void {
    const timeout = timeoutOf(headers)
    if (timeout === undefined) return
    if (Number.isNaN(timeout)) {
      this.#refuse(Status.INTERNAL, `invalid grpc-timeout: '${headers['grpc-timeout']}'`)
      return
    }
    const expire = (): void => this.#refuse(Status.DEADLINE_EXCEEDED, 'deadline exceeded')
    if (timeout <= 0) expire()
    else if (timeout <= MAX_DELAY) this.#deadline = setTimeout(expire, timeout)
  }

  #makeContext(headers: IncomingHttpHeaders): CallContext {
    let metadata: Metadata | undefined
    const signal = (): AbortSignal => {
      this.#controller ??= new AbortController()
      return this.#controller.signal
    }
    return {
      get metadata() {
        metadata ??= metadataOf(headers)
        return metadata
      },
      peer: peerOf(this.#stream),
      header: Metadata(),
      trailer: Metadata(),
      sendHeader: () => this.#begin(),
      get signal() {
        return signal()
      },
    }
  }
}

/** Who is at the other end: an address and a port, `unknown` over unix sockets. */
export function peerOf({ session }: ServerHttp2Stream): string {
  const { remoteAddress, remotePort } = session?.socket ?? {}
  if (remoteAddress === undefined) return 'unknown'
  return `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`
}

/** What a request that waits counts for: one without content takes room too. */
function weightOf(message: Uint8Array): number {
  return message.length + 64
}
