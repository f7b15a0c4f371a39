import type { CompatServiceDefinition, MethodDefinition, TsProtoServiceDefinition } from 'nice-grpc'
import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common'
import type { ResponsePieces } from '../service-definition.js'
import type { FinalStatus } from './call-metadata.js'
import type { ServedCall } from './call-observer.js'
import type { ServerCall } from './server-call.js'
import { type OnServerError, serverError } from './status.js'

/** What is needed of a method to serve it. */
export type ServedMethod = Pick<
  MethodDefinition<unknown, unknown, unknown, unknown>,
  'path' | 'requestStream' | 'responseStream' | 'requestDeserialize' | 'responseSerialize' | 'options'
> &
  ResponsePieces<unknown>

/** An implementation of any kind of method: what it gives depends on the kind. */
type Implementation = (request: unknown, context: CallContext) => Promise<unknown> | AsyncIterable<unknown>

/** The methods of a service, under the names that its implementation gives them, whichever tool defined it. */
export function servedMethods(definition: CompatServiceDefinition): [string, ServedMethod][] {
  if (!isTsProto(definition)) return Object.entries(definition as Record<string, ServedMethod>)
  return Object.entries(definition.methods).map(([key, method]) => {
    const { requestType, responseType, requestStream, responseStream } = method
    const complete = (value: unknown): unknown => responseType.fromPartial?.(value) ?? value
    return [
      key,
      {
        path: `/${definition.fullName}/${method.name}`,
        requestStream,
        responseStream,
        requestDeserialize: (bytes) => requestType.decode(bytes),
        responseSerialize: (value) => responseType.encode(complete(value)).finish(),
        options: method.options,
      },
    ]
  })
}

function isTsProto(definition: CompatServiceDefinition): definition is TsProtoServiceDefinition {
  return typeof definition.fullName === 'string'
}

/** A method with what implements it. */
export class ServerMethod {
  readonly definition: ServedMethod
  readonly #implementation: Implementation
  readonly #onError: OnServerError

  /** @param implementation of nice-grpc: a `ServiceImplementation`, whose method `name` this is */
  constructor(definition: ServedMethod, implementation: object, name: string, onError: OnServerError) {
    this.definition = definition
    const method = (implementation as Record<string, Implementation>)[name]
    if (method === undefined) throw new TypeError(`${definition.path} has no implementation`)
    this.#implementation = method.bind(implementation)
    this.#onError = onError
  }

  /** Answers a call, whatever happens. */
  async serve(call: ServerCall, middleware: ServerMiddleware | undefined): Promise<ServedCall> {
    let request: unknown
    let cause: unknown
    try {
      request = this.definition.requestStream ? new Requests(call, this) : this.decode(await call.only())
      if (this.definition.responseStream) await this.#sendAll(call, request, middleware)
      else await this.#sendOne(call, request, middleware)
      call.finish()
    } catch (error) {
      cause = error instanceof ServerError ? error.cause : error
      call.finish(this.#statusOf(error))
    }
    return { ...call.outcome, request: this.definition.requestStream ? undefined : request, cause }
  }

  /** @throws ServerError INTERNAL */
  decode(message: Uint8Array): unknown {
    try {
      return this.definition.requestDeserialize(message)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw serverError(Status.INTERNAL, `malformed request: ${reason}`)
    }
  }

  async #sendOne(call: ServerCall, request: unknown, middleware: ServerMiddleware | undefined) {
    if (middleware === undefined) {
      this.#send(call, await this.#implementation(request, call.context))
      return
    }
    const { done, value } = await this.#through(middleware, request, call.context).next()
    if (done !== true || value === undefined) {
      throw new TypeError(`${this.definition.path}: middleware has to return one answer, and to yield none`)
    }
    this.#send(call, value)
  }

  async #sendAll(call: ServerCall, request: unknown, middleware: ServerMiddleware | undefined) {
    const answers =
      middleware === undefined
        ? (this.#implementation(request, call.context) as AsyncIterable<unknown>)
        : this.#through(middleware, request, call.context)
    for await (const answer of answers) {
      if (call.over) return
      const room = this.#send(call, answer)
      if (room !== undefined) await room
    }
  }

  #through(middleware: ServerMiddleware, request: unknown, context: CallContext): AsyncGenerator<unknown> {
    const { path, requestStream, responseStream, options } = this.definition
    const implementation = this.#implementation
    const call = {
      method: { path, requestStream, responseStream, options },
      requestStream,
      request,
      responseStream,
      async *next(given: unknown, under: CallContext) {
        if (!responseStream) return await implementation(given, under)
        yield* implementation(given, under) as AsyncIterable<unknown>
        return undefined
      },
    }
    // Which of the two flags is set, the types want to know before.
    return middleware(call as ServerMiddlewareCall<unknown, unknown>, context)
  }

  #send(call: ServerCall, answer: unknown): Promise<void> | undefined {
    const { responsePieces, responseSerialize } = this.definition
    return call.send(responsePieces?.(answer) ?? [responseSerialize(answer)])
  }

  #statusOf(error: unknown): FinalStatus {
    if (error instanceof ServerError) return error
    if (error instanceof Error && error.name === 'AbortError') {
      return { code: Status.CANCELLED, details: 'the call was cancelled' }
    }
    this.#onError(this.definition.path.slice(1), error)
    return { code: Status.UNKNOWN, details: 'internal error' }
  }
}

/** The requests of a call. Who leaves them does not want the rest. */
class Requests implements AsyncIterableIterator<unknown, undefined> {
  readonly #call: ServerCall
  readonly #method: ServerMethod

  constructor(call: ServerCall, method: ServerMethod) {
    this.#call = call
    this.#method = method
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const message = await this.#call.next()
    if (message === undefined) return { done: true, value: undefined }
    return { done: false, value: this.#method.decode(message) }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#call.ignoreRequests()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
