import type { MethodDefinition } from 'nice-grpc'
import type { Generation } from './channel.js'

/** A message's bytes, both ways. */
export interface MessageCodec<T> {
  encode(message: T): Uint8Array
  /** @throws any error for bytes that are no such message; the peer then gets INTERNAL */
  decode(bytes: Uint8Array): T
  /** The bytes of `encode` in several pieces, of which large ones are not copied. Default: there is only `encode`. */
  readonly pieces?: ((message: T) => readonly Uint8Array[]) | undefined
}

/** What a method of ours has beside what nice-grpc knows. */
export interface ResponsePieces<Response> {
  /** See {@link MessageCodec.pieces}. */
  readonly responsePieces?: ((message: Response) => readonly Uint8Array[]) | undefined
}

/** A method without its service: what goes in and comes out, and how often. */
export interface MethodShape<Request, Response, Requests extends boolean, Responses extends boolean> {
  readonly request: MessageCodec<Request>
  readonly response: MessageCodec<Response>
  readonly requestStream: Requests
  readonly responseStream: Responses
}

// biome-ignore lint/suspicious/noExplicitAny: stands for every method, whatever its messages
type AnyShape = MethodShape<any, any, boolean, boolean>

type Definition<Shapes extends Record<string, AnyShape>> = {
  [Name in keyof Shapes]: Shapes[Name] extends MethodShape<
    infer Request,
    infer Response,
    infer Requests,
    infer Responses
  >
    ? MethodDefinition<Request, Request, Response, Response, Requests, Responses>
    : never
}

/** A service under the name of each generation that has it; nice-grpc takes both definitions (DESIGN decision 3). */
export interface GrpcServiceDefinition<D> {
  /** The name without the generation: `castore.v1.BlobService`. */
  readonly name: string
  /** The definitions, in the order in which a client tries them. */
  readonly generations: ReadonlyMap<Generation, D>
}

/** One request, one answer. */
export function unary<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): MethodShape<Request, Response, false, false> {
  return { request, response, requestStream: false, responseStream: false }
}

/** One request, any number of answers. */
export function serverStreaming<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): MethodShape<Request, Response, false, true> {
  return { request, response, requestStream: false, responseStream: true }
}

/** Any number of requests, one answer. */
export function clientStreaming<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): MethodShape<Request, Response, true, false> {
  return { request, response, requestStream: true, responseStream: false }
}

/** Any number of requests, any number of answers. */
export function bidirectional<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): MethodShape<Request, Response, true, true> {
  return { request, response, requestStream: true, responseStream: true }
}

/**
 * Defines a service under the names of its generations.
 *
 * @param name without the generation: `castore.v1.BlobService`
 * @param generations newest first. Default: both
 */
export function grpcService<Shapes extends Record<string, AnyShape>>(
  name: string,
  shapes: Shapes,
  generations: readonly Generation[] = ['snix', 'tvix'],
): GrpcServiceDefinition<Definition<Shapes>> {
  return {
    name,
    generations: new Map(generations.map((key) => [key, defineService(`${key}.${name}`, shapes)])),
  }
}

/** Defines a service that has one name. @param name in full: `grpc.health.v1.Health` */
export function defineService<Shapes extends Record<string, AnyShape>>(
  name: string,
  shapes: Shapes,
): Definition<Shapes> {
  const methods = Object.entries(shapes).map(([method, shape]) => [
    method,
    {
      path: `/${name}/${method}`,
      requestStream: shape.requestStream,
      responseStream: shape.responseStream,
      requestSerialize: shape.request.encode,
      requestDeserialize: shape.request.decode,
      responseSerialize: shape.response.encode,
      responseDeserialize: shape.response.decode,
      responsePieces: shape.response.pieces,
      options: {},
    },
  ])
  return Object.fromEntries(methods) as Definition<Shapes>
}
