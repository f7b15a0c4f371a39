import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { CompatServiceDefinition, Server, ServiceImplementation } from 'nice-grpc'
import { composeServerMiddleware, type ServerMiddleware, Status } from 'nice-grpc-common'
import { type FinalStatus, statusHeaders } from './call-metadata.js'
import { type CallObserver, composeObservers, type ServedCall } from './call-observer.js'
import { discardRest } from './discard-rest.js'
import { HeldRequests } from './held-requests.js'
import { peerOf, ServerCall } from './server-call.js'
import { ServerMethod, servedMethods } from './server-method.js'
import type { OnServerError } from './status.js'

/** What services are registered with: a server of ours, or one of nice-grpc. */
export type ServiceRegistry = Pick<Server, 'add'>

/** Encodings of requests that are understood. */
const ENCODINGS = ['identity', 'gzip']

/** How a {@link GrpcServer} serves. */
export interface GrpcServerInit {
  /** The longest request to accept, in bytes. */
  readonly maxMessageSize: number
  /** The most bytes of requests to hold, of all calls together. */
  readonly maxHeld: number
  readonly onError: OnServerError
}

/**
 * The services that are there, and what stands before them. Services are defined and implemented as for nice-grpc; what
 * comes over HTTP/2 is handled here (dependencies.md says why).
 */
export class GrpcServer implements ServiceRegistry {
  readonly #init: GrpcServerInit
  readonly #heldRequests: HeldRequests
  readonly #methods = new Map<string, ServerMethod>()
  #middleware: ServerMiddleware | undefined
  #observer: CallObserver | undefined

  constructor(init: GrpcServerInit) {
    this.#init = init
    this.#heldRequests = new HeldRequests(init.maxHeld)
  }

  /** Puts something before the methods of all services. What was put first is called first. */
  use(middleware: ServerMiddleware): this {
    this.#middleware =
      this.#middleware === undefined ? middleware : composeServerMiddleware(this.#middleware, middleware)
    return this
  }

  /** Has every call seen, that of unknown methods too. Who was put first is told first, and of the end last. */
  observe(observer: CallObserver): this {
    this.#observer = composeObservers(this.#observer, observer)
    return this
  }

  /** The full names of the services that are there. */
  get services(): string[] {
    return [...new Set([...this.#methods.keys()].map((path) => path.split('/')[1]!))]
  }

  /** Adds a service. Methods of the same name are replaced. */
  add<Service extends CompatServiceDefinition>(
    definition: Service,
    implementation: ServiceImplementation<Service>,
  ): void {
    for (const [name, method] of servedMethods(definition)) {
      this.#methods.set(method.path, new ServerMethod(method, implementation, name, this.#init.onError))
    }
  }

  /** Serves a request of HTTP/2. */
  serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // Listened to without a gap: an error that nobody hears ends the process. Who is concerned hears of the close.
    stream.on('error', () => {})
    if (!/^application\/grpc(?:$|[+;])/.test(headers['content-type'] ?? ''))
      refuse(stream, { ':status': 415 })
    else if (headers[':method'] !== 'POST') refuse(stream, { ':status': 405, allow: 'POST' })
    else this.#serve(stream, headers)
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path'] ?? ''
    const serve = (): Promise<ServedCall> => this.#answer(path, stream, headers)
    const served =
      this.#observer === undefined ? serve() : this.#observer({ path, peer: peerOf(stream), headers }, serve)
    // A failure that nobody handles ends the process: this one may end the call at most.
    served.catch((error: unknown) => {
      this.#init.onError(path, error)
      stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    })
  }

  async #answer(path: string, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<ServedCall> {
    const method = this.#methods.get(path)
    const encoding = headers['grpc-encoding'] ?? 'identity'
    if (method === undefined) return refuseCall(stream, unimplemented(`unknown method ${path}`))
    if (!ENCODINGS.includes(String(encoding))) {
      const accepted = { 'grpc-accept-encoding': ENCODINGS.join() }
      return refuseCall(stream, unimplemented(`unsupported encoding '${encoding}'`), accepted)
    }
    const { requestStream } = method.definition
    const { maxMessageSize } = this.#init
    const heldRequests = this.#heldRequests
    const call = new ServerCall({ stream, headers, maxMessageSize, requestStream, heldRequests })
    return await method.serve(call, this.#middleware)
  }
}

function unimplemented(details: string): FinalStatus {
  return { code: Status.UNIMPLEMENTED, details }
}

function refuseCall(
  stream: ServerHttp2Stream,
  status: FinalStatus,
  more: OutgoingHttpHeaders = {},
): ServedCall {
  refuse(stream, { ':status': 200, 'content-type': 'application/grpc', ...statusHeaders(status), ...more })
  return { ...status, request: undefined, cause: undefined, sent: 0, received: 0 }
}

/** Answers without looking at what the client sends. */
function refuse(stream: ServerHttp2Stream, headers: Parameters<ServerHttp2Stream['respond']>[0]): void {
  if (stream.destroyed || stream.closed) return
  stream.respond(headers, { endStream: true })
  discardRest(stream)
}
