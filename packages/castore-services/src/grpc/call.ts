import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceDefinition } from 'nice-grpc'
import { Status } from 'nice-grpc-common'
import type { CallOptions } from '../call-options.js'
import type { Generation, GrpcChannel } from './channel.js'
import type { GrpcClient, GrpcUpload } from './client.js'
import type { GrpcServiceDefinition } from './service-definition.js'
import { GrpcStatusError, isTransient } from './status-error.js'

/** One service of one server: makes its calls, under the name that the server knows. */
export class GrpcCaller<D extends ServiceDefinition> {
  constructor(
    readonly channel: GrpcChannel,
    readonly service: GrpcServiceDefinition<D>,
  ) {}

  /**
   * Makes a call that may be made again: it changes nothing, or the same however often it is made. It is, when nobody
   * was there or the connection broke.
   *
   * @param call makes it, with a client of the generation that it is given
   * @throws GrpcStatusError, or the signal's reason
   */
  async call<T>(call: (client: GrpcClient<D>) => Promise<T>, options: CallOptions = {}): Promise<T> {
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

  /**
   * Makes a call with a stream of answers. It is made again in the same cases, but only before the first answer came.
   *
   * @throws on iterating, as {@link call}
   */
  async *stream<T>(
    call: (client: GrpcClient<D>) => AsyncIterableIterator<T, undefined>,
    options: CallOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    const { first, answers } = await this.call(async (client) => {
      const begun = call(client)
      return { first: await begun.next(), answers: begun }
    }, options)
    try {
      for (let next = first; next.done !== true; next = await answers.next()) {
        yield next.value
        options.signal?.throwIfAborted()
      }
    } finally {
      await answers.return?.()
    }
  }

  /**
   * Makes an upload of messages that are there already, as {@link call}.
   *
   * @param begin begins it
   */
  async upload<Request, Response>(
    begin: (client: GrpcClient<D>) => Promise<GrpcUpload<Request, Response>>,
    messages: () => Iterable<Request>,
    options: CallOptions = {},
  ): Promise<Response> {
    return await this.call(async (client) => {
      const upload = await begin(client)
      try {
        for (const message of messages()) await upload.send(message)
      } catch (error) {
        upload.cancel(error)
        throw error
      }
      return await upload.finish()
    }, options)
  }

  /** Makes sure that the name is known under which the server offers the service, with a call that asks for little. */
  async settled(
    probe: (client: GrpcClient<D>) => Promise<unknown>,
    options: CallOptions = {},
  ): Promise<GrpcClient<D>> {
    if (this.channel.generation(this.service.name) === undefined) {
      try {
        await this.call(probe, options)
      } catch (error) {
        // Whatever else it says, it knows the service.
        if (!(error instanceof GrpcStatusError) || !isAnswer(error)) throw error
      }
    }
    return this.#clientOf(this.#candidates()[0]!)
  }

  #clientOf(generation: Generation): GrpcClient<D> {
    return this.channel.client(this.service.generations.get(generation)!)
  }

  // An unknown service and an unknown method look alike. Only when no name helps, nothing does.
  async #underAnyName<T>(call: (client: GrpcClient<D>) => Promise<T>): Promise<T> {
    let refusal: unknown
    for (const generation of this.#candidates()) {
      try {
        const result = await call(this.#clientOf(generation))
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
