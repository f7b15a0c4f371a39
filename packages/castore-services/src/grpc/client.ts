import type { MethodDefinition, ServiceDefinition } from 'nice-grpc'
import type { CallOptions } from '../call-options.js'
import type { ClientCall } from './client-call.js'

/** An upload that has begun. What is not finished has to be cancelled. */
export type GrpcUpload<Request, Response> = Pick<ClientCall<Request, Response>, 'send' | 'finish' | 'cancel'>

/** The methods of a service, to be called. */
export type GrpcClient<D extends ServiceDefinition> = {
  readonly [Name in keyof D]: D[Name] extends MethodDefinition<
    infer Request,
    infer _RequestOut,
    infer _ResponseIn,
    infer Response,
    infer RequestStream,
    infer ResponseStream
  >
    ? RequestStream extends true
      ? (options?: CallOptions) => Promise<GrpcUpload<Request, Response>>
      : ResponseStream extends true
        ? (request: Request, options?: CallOptions) => AsyncIterableIterator<Response, undefined>
        : (request: Request, options?: CallOptions) => Promise<Response>
    : never
}

/** Begins a call of a method. */
export type BeginCall = <Request, Response>(
  // biome-ignore lint/suspicious/noExplicitAny: stands for every method, whatever its messages
  method: MethodDefinition<Request, any, any, Response, boolean, boolean>,
  options: CallOptions,
) => Promise<ClientCall<Request, Response>>

/** Makes the client of a service that is defined for nice-grpc. */
export function createGrpcClient<D extends ServiceDefinition>(
  definition: D,
  begin: BeginCall,
): GrpcClient<D> {
  const methods = Object.entries(definition as Record<string, AnyMethod>).map(([name, method]) => [
    name,
    method.requestStream
      ? (options: CallOptions = {}) => begin(method, options)
      : method.responseStream
        ? (request: unknown, options: CallOptions = {}) => new Answers(method, request, options, begin)
        : (request: unknown, options: CallOptions = {}) => unary(method, request, options, begin),
  ])
  return Object.fromEntries(methods) as GrpcClient<D>
}

type AnyMethod = MethodDefinition<unknown, unknown, unknown, unknown, boolean, boolean>

async function unary(method: AnyMethod, request: unknown, options: CallOptions, begin: BeginCall) {
  const call = await begin(method, options)
  call.sendOnly(request)
  return await call.finish()
}

/** The answers to one request. The call begins with the first `next`; leaving them cancels it. */
class Answers implements AsyncIterableIterator<unknown, undefined> {
  readonly #begin: () => Promise<ClientCall<unknown, unknown>>
  readonly #request: unknown
  #call: ClientCall<unknown, unknown> | undefined
  #left = false

  constructor(method: AnyMethod, request: unknown, options: CallOptions, begin: BeginCall) {
    this.#begin = () => begin(method, options)
    this.#request = request
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#left) return { done: true, value: undefined }
    if (this.#call === undefined) {
      this.#call = await this.#begin()
      this.#call.sendOnly(this.#request)
    }
    const value = await this.#call.next()
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#left = true
    this.#call?.cancel()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
