import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, type ServiceDefinition, Status } from 'nice-grpc'
import type { CallOptions } from '../call-options.js'
import { CallGuard, type GuardedCallOptions } from './call-guard.js'
import type { Generation, GrpcChannel } from './channel.js'
import type { GrpcServiceDefinition } from './service-definition.js'
import { GrpcStatusError, isTransient } from './status-error.js'

/** One service of one server: makes its calls, under the name that the server knows. */
export class GrpcCaller<D extends ServiceDefinition> {
  /** Of the service, without the package: `BlobService`. */
  readonly #shortName: string

  constructor(
    readonly channel: GrpcChannel,
    readonly service: GrpcServiceDefinition<D>,
  ) {
    this.#shortName = service.name.slice(service.name.lastIndexOf('.') + 1)
  }

  /**
   * Makes a call that may be made again: it changes nothing, or the same however often it is made. It is, when nobody
   * was there or the connection broke.
   *
   * @param method for messages
   * @param call makes it, with a client and the options that it is given
   * @throws GrpcStatusError, or the signal's reason
   */
  async call<T>(
    method: string,
    call: (client: Client<D>, options: GuardedCallOptions) => Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    return await this.#retrying((generation) => this.#once(generation, method, call, options), options)
  }

  /**
   * Makes a call with a stream of answers. It is made again in the same cases, but only before the first answer came.
   *
   * @throws on iterating, as {@link call}
   */
  async *stream<T>(
    method: string,
    call: (client: Client<D>, options: GuardedCallOptions) => AsyncIterable<T>,
    options: CallOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    options.signal?.throwIfAborted()
    const { guard, first, answers } = await this.#retrying(
      (generation) => this.#begin(generation, method, call, options),
      options,
    )
    using _guard = guard
    try {
      for (let next = first; next.done !== true; next = await guard.await(answers.next())) {
        yield next.value
        options.signal?.throwIfAborted()
      }
    } finally {
      guard.cancel()
    }
  }

  /** Makes sure that the name is known under which the server offers the service, with a call that asks for little. */
  async settleGeneration(
    method: string,
    probe: (client: Client<D>, options: GuardedCallOptions) => Promise<unknown>,
    options: CallOptions = {},
  ): Promise<Generation> {
    const known = this.channel.generation(this.service.name)
    if (known !== undefined) return known
    try {
      await this.call(method, probe, options)
    } catch (error) {
      // Whatever else it says, it knows the service.
      if (!(error instanceof GrpcStatusError) || !isAnswer(error)) throw error
    }
    return this.channel.generation(this.service.name) ?? this.#candidates()[0]!
  }

  /** The client for a generation that is known. */
  clientOf(generation: Generation): Client<D> {
    return this.channel.client(this.service.generations.get(generation)!)
  }

  /** Watches a call that the caller makes itself. */
  guard(method: string, options: CallOptions): CallGuard {
    return new CallGuard(this.channel, `${this.#shortName}/${method}`, options)
  }

  async #once<T>(
    generation: Generation,
    method: string,
    call: (client: Client<D>, options: GuardedCallOptions) => Promise<T>,
    options: CallOptions,
  ): Promise<T> {
    const client = this.clientOf(generation)
    using guard = this.guard(method, options)
    return await guard.await(call(client, { signal: guard.signal }))
  }

  async #begin<T>(
    generation: Generation,
    method: string,
    call: (client: Client<D>, options: GuardedCallOptions) => AsyncIterable<T>,
    options: CallOptions,
  ): Promise<{ guard: CallGuard; first: IteratorResult<T, unknown>; answers: AsyncIterator<T, unknown> }> {
    const client = this.clientOf(generation)
    const guard = this.guard(method, options)
    try {
      const answers = call(client, { signal: guard.signal })[Symbol.asyncIterator]()
      return { guard, first: await guard.await(answers.next()), answers }
    } catch (error) {
      guard[Symbol.dispose]()
      throw error
    }
  }

  async #retrying<T>(call: (generation: Generation) => Promise<T>, options: CallOptions): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      options.signal?.throwIfAborted()
      try {
        return await this.#underAnyName(call)
      } catch (error) {
        if (!isTransient(error) || attempt >= MAX_RETRIES || this.channel.closed) throw error
      }
      await pause(attempt, options)
    }
  }

  // An unknown service and an unknown method look alike. Only when no name helps, nothing does.
  async #underAnyName<T>(call: (generation: Generation) => Promise<T>): Promise<T> {
    let refusal: unknown
    for (const generation of this.#candidates()) {
      try {
        const result = await call(generation)
        this.channel.rememberGeneration(this.service.name, generation)
        return result
      } catch (error) {
        if (!(error instanceof GrpcStatusError)) throw error
        if (error.status !== Status.UNIMPLEMENTED) {
          if (isAnswer(error)) this.channel.rememberGeneration(this.service.name, generation)
          throw error
        }
        refusal ??= error
      }
    }
    throw refusal
  }

  #candidates(): Generation[] {
    const known = this.channel.generation(this.service.name)
    const all = [...this.service.generations.keys()]
    return known === undefined ? all : [known, ...all.filter((generation) => generation !== known)]
  }
}

/** Retries after the first attempt; together they take a second or less. */
const MAX_RETRIES = 3
const FIRST_PAUSE = 50

async function pause(attempt: number, { signal }: CallOptions): Promise<void> {
  // Clients that lost the same server must not all come back at the same moment.
  const length = FIRST_PAUSE * 3 ** attempt * (0.5 + Math.random())
  await sleep(length, undefined, { signal }).catch(() => signal?.throwIfAborted())
}

/** Whether an error came from the service itself. */
function isAnswer({ status, code }: GrpcStatusError): boolean {
  return status !== Status.UNIMPLEMENTED && code !== 'unavailable'
}
