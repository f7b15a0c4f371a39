import type { ServiceDefinition } from 'nice-grpc'
import type { GrpcCaller } from './call.js'
import type { CallGuard, GuardedCallOptions } from './call-guard.js'

/** How many messages wait for the transport, which has a few more under way. */
const MAX_WAITING = 2

/**
 * A call whose requests are handed over one by one, with back-pressure. What is not finished has to be cancelled: a
 * server takes any stream that ends for complete (spec 02 weakness 22).
 */
export class GrpcUpload<Request, Response> {
  readonly #guard: CallGuard
  readonly #waiting: Request[] = []
  readonly #response: Promise<Response>
  #ended = false
  #over = false
  /** Lets the transport know that there is something to send. */
  #wakeTransport: () => void = () => {}
  /** Lets who sends know that there is room. */
  #wakeSender: () => void = () => {}

  /**
   * @param start makes the call
   */
  constructor(
    guard: CallGuard,
    start: (requests: AsyncIterable<Request>, options: GuardedCallOptions) => Promise<Response>,
  ) {
    this.#guard = guard
    this.#response = start(this.#requests(), { signal: guard.signal })
    const settle = (): void => {
      this.#over = true
      this.#wakeSender()
      this.#wakeTransport()
    }
    this.#response.then(settle, settle)
  }

  /**
   * Hands over a message; settles when the next one may come.
   *
   * @throws what ended the call, when the server did not wait for the end
   */
  async send(message: Request): Promise<void> {
    if (this.#over) await this.#early()
    this.#waiting.push(message)
    this.#wakeTransport()
    while (this.#waiting.length >= MAX_WAITING && !this.#over) {
      await this.#guard.await(new Promise<void>((resolve) => (this.#wakeSender = resolve)))
    }
    if (this.#over) await this.#early()
  }

  /** Says that everything was sent, and waits for the answer. */
  async finish(): Promise<Response> {
    this.#ended = true
    this.#wakeTransport()
    try {
      return await this.#guard.await(this.#response)
    } finally {
      this.#guard[Symbol.dispose]()
    }
  }

  /** Cancels the call, so that the server throws away what it got. Never rejects. */
  async cancel(reason?: unknown): Promise<void> {
    this.#guard.cancel(reason)
    await this.#response.catch(() => {})
    this.#guard[Symbol.dispose]()
  }

  // An answer before the end is for less than what was to be stored: who sends on is told at `finish`, by the digest.
  async #early(): Promise<void> {
    await this.#guard.await(this.#response)
  }

  async *#requests(): AsyncGenerator<Request, void, undefined> {
    for (;;) {
      const message = this.#waiting.shift()
      if (message !== undefined) {
        this.#wakeSender()
        yield message
      } else if (this.#ended || this.#over) {
        return
      } else {
        await new Promise<void>((resolve) => (this.#wakeTransport = resolve))
      }
    }
  }
}

/**
 * Starts an upload.
 *
 * @param method for messages
 * @param call makes the call, with a client of a generation that is known
 */
export function startUpload<D extends ServiceDefinition, Request, Response>(
  caller: GrpcCaller<D>,
  method: string,
  call: (requests: AsyncIterable<Request>, options: GuardedCallOptions) => Promise<Response>,
): GrpcUpload<Request, Response> {
  return new GrpcUpload(caller.guard(method, {}), call)
}
