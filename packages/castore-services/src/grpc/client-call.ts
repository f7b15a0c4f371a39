import { type ClientHttp2Stream, constants } from 'node:http2'
import type { MethodDefinition } from 'nice-grpc'
import { Status } from 'nice-grpc-common'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { CastoreError } from '../errors.js'
import { type CallStatus, statusOfHttp, statusOfReset, statusOfTrailers } from './call-status.js'
import type { Connection, RunningCall } from './connection.js'
import { FrameDecoder, FrameError, framed, frameHeader } from './message-frames.js'
import { GrpcStatusError } from './status-error.js'
import { type CallTelemetry, clientCallTelemetry } from './telemetry.js'

/** What a call needs to know of its channel. */
export interface CallPeer {
  /** For messages. */
  readonly name: string
  /** The longest that the server may be silent, in milliseconds; 0: no limit. */
  readonly timeout: number
  /** The longest message to accept, in bytes. */
  readonly maxMessageSize: number
  /** Why calls fail at once, when they do. */
  readonly refusal: CastoreError | undefined
}

/** How many bytes of answers may wait until the server is held back. */
const MAX_WAITING = 1024 * 1024
/** From how many bytes on it costs more to copy a message than to send two buffers. */
const LARGE_MESSAGE = 16 * 1024
/** How many messages may be under way to the server, beyond the one whose sending is waited for. */
const MAX_UNSENT = 1

// biome-ignore lint/suspicious/noExplicitAny: stands for every method, whatever its messages
type AnyMethod<Request, Response> = MethodDefinition<Request, any, any, Response, boolean, boolean>

/**
 * One call over HTTP/2: its requests, its answers and its status. It ends early with the caller's signal, when the
 * server is silent for too long, or when it is cancelled. All failures are what they are for the caller: the signal's
 * reason, or a CastoreError.
 *
 * An upload that ends early is reset without having been ended, and with a code that servers do not take for the end
 * (spec 02 weakness 21).
 */
export class ClientCall<Request, Response> implements RunningCall {
  readonly #peer: CallPeer
  readonly #method: AnyMethod<Request, Response>
  readonly #signal: AbortSignal | undefined
  readonly #decoder: FrameDecoder
  readonly #answers: Uint8Array[] = []
  #waiting = 0
  #connection: Connection | undefined
  #stream: ClientHttp2Stream | undefined
  #httpStatus = 200
  #status: CallStatus | undefined
  #requestEnded = false
  #unsent = 0
  #over = false
  #failure: unknown
  #telemetry: CallTelemetry | undefined
  #sent = 0
  #received = 0
  #wake: () => void = () => {}

  constructor(peer: CallPeer, method: AnyMethod<Request, Response>, { signal }: CallOptions) {
    this.#peer = peer
    this.#method = method
    this.#signal = signal
    this.#decoder = new FrameDecoder(peer.maxMessageSize)
  }

  /** Begins the call over a connection, or once there is one. Nothing else may be called before it has settled. */
  async begin(connector: { connection(): Connection | Promise<Connection> }): Promise<void> {
    const signal = this.#signal
    signal?.throwIfAborted()
    this.#telemetry = clientCallTelemetry(this.#method.path, this.#peer.name)
    try {
      const connecting = connector.connection()
      const connection =
        connecting instanceof Promise ? await this.#patiently(abortable(connecting, signal)) : connecting
      this.#stream = connection.request(this, this.#method.path, this.#telemetry?.headers)
      this.#connection = connection
    } catch (error) {
      const failure = this.#notBegun(error)
      this.#tellEnd(failure)
      throw failure
    }
    this.#listen(this.#stream)
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Why a call could not begin. */
  #notBegun(error: unknown): unknown {
    if (this.#signal?.aborted) return this.#signal.reason
    if (this.#peer.refusal !== undefined) return this.#peer.refusal
    if (error instanceof CastoreError) return error
    return this.#statusError(Status.UNAVAILABLE, error instanceof Error ? error.message : String(error))
  }

  /**
   * Sends a message, which has to stay as it is until the `send` of the next one has settled. Settles when the next one
   * may come. After an answer that came early nothing is sent any more.
   *
   * @throws what ended the call
   */
  async send(message: Request): Promise<void> {
    if (!this.#over) {
      this.#unsent += 1
      const bytes = this.#method.requestSerialize(message)
      this.#sent += bytes.length
      this.#write(bytes)
      while (this.#unsent > MAX_UNSENT && !this.#over) await this.#sign()
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Sends the only request. */
  sendOnly(message: Request): void {
    if (this.#over) return
    this.#requestEnded = true
    const bytes = this.#method.requestSerialize(message)
    this.#sent += bytes.length
    this.#stream!.end(framed(bytes))
  }

  /**
   * Waits for the next answer.
   *
   * @returns undefined after the last one, when the call went well
   */
  async next(): Promise<Response | undefined> {
    while (this.#answers.length === 0) {
      if (this.#over) {
        if (this.#failure !== undefined) throw this.#failure
        return undefined
      }
      await this.#sign()
    }
    const message = this.#answers.shift()!
    const before = this.#waiting
    this.#waiting -= weightOf(message)
    if (before > MAX_WAITING && this.#waiting <= MAX_WAITING) this.#stream!.resume()
    try {
      return this.#method.responseDeserialize(message)
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause)
      this.#fail(this.#statusError(Status.INTERNAL, `malformed answer: ${text}`, cause))
      throw this.#failure
    }
  }

  /** Says that there are no more requests, and waits for the one answer. */
  async finish(): Promise<Response> {
    if (!this.#over && !this.#requestEnded) {
      this.#requestEnded = true
      this.#stream!.end()
    }
    const answer = await this.next()
    const complaint =
      answer === undefined ? 'no answer' : (await this.next()) === undefined ? undefined : 'several answers'
    if (complaint === undefined) return answer!
    const error = this.#statusError(Status.INTERNAL, `${complaint}, expected one`)
    this.#fail(error)
    throw error
  }

  /** Ends the call, if it is not over: answers that wait are thrown away, and the server is told that it was reset. */
  cancel(reason?: unknown): void {
    if (this.#over) return
    this.#fail(reason ?? new CastoreError('aborted', `${this.#peer.name}: ${this.#name()} was cancelled`))
  }

  lost(reason: string): void {
    // Answers that came whole are good.
    if (this.#status !== undefined) return
    this.#fail(this.#peer.refusal ?? this.#statusError(Status.UNAVAILABLE, reason))
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('response', (headers) => {
      this.#httpStatus = headers[':status'] ?? 200
      this.#status = statusOfTrailers(headers)
    })
    stream.on('data', (data: Buffer) => this.#take(data))
    stream.on('trailers', (headers) => (this.#status ??= statusOfTrailers(headers)))
    stream.on('end', () => this.#end())
    let error: Error | undefined
    stream.on('error', (reason) => (error = reason))
    stream.on('close', () => this.#cutOff(error))
  }

  #take(data: Buffer): void {
    if (this.#over) return
    const before = this.#waiting
    try {
      this.#decoder.push(data, this.#onAnswer)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      const status = error.code === 'too-large' ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL
      // What a proxy says in HTML is no message; its status tells more.
      const http = this.#httpStatus
      this.#failAs(http === 200 ? { status, details: error.message } : statusOfHttp(http))
      return
    }
    if (this.#waiting === before) return
    if (this.#waiting > MAX_WAITING) this.#stream!.pause()
    this.#wake()
  }

  #write(message: Uint8Array): void {
    const stream = this.#stream!
    if (message.length < LARGE_MESSAGE) {
      stream.write(framed(message), this.#onSent)
      return
    }
    stream.cork()
    stream.write(frameHeader(message.length))
    stream.write(message, this.#onSent)
    stream.uncork()
  }

  readonly #onAnswer = (message: Uint8Array): void => {
    this.#answers.push(message)
    this.#received += message.length
    this.#waiting += weightOf(message)
  }

  readonly #onSent = (): void => {
    this.#unsent -= 1
    this.#wake()
  }

  readonly #onAbort = (): void => this.#fail(this.#signal!.reason)

  // The server has said everything.
  #end(): void {
    if (this.#over) return
    if (this.#status === undefined) {
      // Why, the stream knows when it has closed, which it does not do while an upload goes on.
      setImmediate(() => this.#cutOff(undefined))
      return
    }
    const { status, details } = this.#status
    if (status !== Status.OK) this.#settle(this.#statusError(status, details))
    else if (!this.#decoder.atBoundary)
      this.#settle(this.#statusError(Status.INTERNAL, 'cut off in a message'))
    else this.#settle(undefined)
  }

  /** The stream is over, and nobody said that it would be. */
  #cutOff(error: Error | undefined): void {
    if (this.#over) return
    if (this.#httpStatus !== 200) this.#failAs(statusOfHttp(this.#httpStatus))
    else if (!this.#connection!.usable) this.lost('connection dropped')
    else this.#failAs(statusOfReset(this.#stream!.rstCode, error))
  }

  /** Waits until something happens, no longer than the server may be silent. */
  async #sign(): Promise<void> {
    const { timeout } = this.#peer
    const timer = timeout === 0 ? undefined : setTimeout(this.#onSilence, timeout)
    await new Promise<void>((resolve) => (this.#wake = resolve))
    clearTimeout(timer)
  }

  /** Waits for a promise, no longer than that. */
  async #patiently<T>(promise: Promise<T>): Promise<T> {
    const { timeout } = this.#peer
    if (timeout === 0) return await promise
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(this.#silence()), timeout)
    })
    try {
      return await Promise.race([promise, silence])
    } finally {
      clearTimeout(timer)
    }
  }

  #silence(): CastoreError {
    const { name, timeout } = this.#peer
    return new CastoreError('unavailable', `${name}: ${this.#name()}: no sign of life for ${timeout} ms`)
  }

  readonly #onSilence = (): void => this.#fail(this.#silence())

  #failAs({ status, details }: CallStatus): void {
    this.#fail(this.#statusError(status, details))
  }

  /** The call is over, whatever else comes. */
  #fail(failure: unknown): void {
    if (this.#over) return
    this.#answers.length = 0
    this.#settle(failure)
  }

  #settle(failure: unknown): void {
    this.#over = true
    this.#failure = failure
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#connection?.release(this)
    this.#reset()
    this.#wake()
    if (this.#telemetry !== undefined) this.#tellEnd(failure)
  }

  #tellEnd(failure: unknown): void {
    const traffic = { sent: this.#sent, received: this.#received }
    this.#telemetry?.end({ ...outcomeOf(failure, this.#signal), ...traffic })
  }

  #reset(): void {
    const stream = this.#stream
    if (stream === undefined || stream.destroyed) return
    if (this.#requestEnded) {
      // A request that is reset in the moment in which it was made may stay behind until the connection is used again.
      if (!stream.readableEnded) setImmediate(() => stream.close(constants.NGHTTP2_CANCEL))
      // Else nobody would see the end of it.
      stream.resume()
      return
    }
    // Closing would first say that the upload is complete. And some servers take CANCEL for a clean end.
    stream.destroy(this.#status ? undefined : new Error('cancelled'))
  }

  #statusError(status: Status, details: string, cause?: unknown): GrpcStatusError {
    return new GrpcStatusError(this.#peer.name, this.#name(), { status, details, cause })
  }

  /** The method for messages: `BlobService/Stat`. */
  #name(): string {
    return this.#method.path.replace(/^\/(?:.*\.)?/, '')
  }
}

/** How a call ended, for those who watch. */
function outcomeOf(failure: unknown, signal: AbortSignal | undefined): { code: Status; details: string } {
  if (failure === undefined) return { code: Status.OK, details: '' }
  const details = failure instanceof Error ? failure.message : String(failure)
  if (failure instanceof GrpcStatusError) return { code: failure.status, details }
  const cancelled = signal?.aborted || (failure instanceof CastoreError && failure.code === 'aborted')
  return { code: cancelled ? Status.CANCELLED : Status.UNAVAILABLE, details }
}

/** What an answer that waits counts for: one without content takes room too. */
function weightOf(message: Uint8Array): number {
  return message.length + 64
}
