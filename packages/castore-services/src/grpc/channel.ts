import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import type { ServiceDefinition } from 'nice-grpc'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { CastoreError } from '../errors.js'
import { type GrpcAddress, type GrpcEndpoint, parseGrpcUrl } from './address.js'
import { createGrpcClient, type GrpcClient } from './client.js'
import { type CallPeer, ClientCall } from './client-call.js'
import { Connection, type ConnectionInit } from './connection.js'
import { clientContext, type GrpcClientTls } from './tls.js'
import { checkToken, readTokenFile } from './token.js'

/** How {@link openGrpcChannel} connects. What the URL says too, the option decides. */
export interface GrpcChannelOptions extends CallOptions {
  /** Connect now, and fail when that fails; else with the first call. Default: what the URL's `wait-connect` says, else no. */
  readonly waitConnect?: boolean | undefined
  /** Certificates for a `grpc+https:` URL, in place of the files that the URL names. */
  readonly tls?: GrpcClientTls | undefined
  /**
   * Sent with every call, as `authorization: Bearer`. The file that the URL's `token-file` names goes before it.
   * Default: nothing is sent.
   */
  readonly token?: string | undefined
  /** What to call the server in requests, and the name that its certificate must have. Default: the URL's host. */
  readonly authority?: string | undefined
  /** The longest that an attempt to connect may take, in milliseconds. Default: 20,000. */
  readonly connectTimeout?: number | undefined
  /**
   * The longest that a call may go without a sign of life, in milliseconds: then it fails as `unavailable`. A long
   * transfer that moves is not cut off. 0: no limit. Default: 120,000.
   */
  readonly timeout?: number | undefined
  /** How often to ask a silent server, while calls run, whether it is still there, in milliseconds. 0: never. Default: 60,000. */
  readonly keepAliveInterval?: number | undefined
  /** The largest message to accept, in bytes. Default: 16 MiB. */
  readonly maxMessageSize?: number | undefined
  /** How much a server may send ahead of what was taken, in bytes. Default: 8 MiB. */
  readonly window?: number | undefined
}

/** The largest message that client and server accept unless told otherwise: a directory of some 200,000 entries. */
export const DEFAULT_MAX_MESSAGE_SIZE = 16 * 1024 * 1024

/** The flow-control window of client and server unless told otherwise. */
export const DEFAULT_WINDOW = 8 * 1024 * 1024

const DEFAULT_CONNECT_TIMEOUT = 20_000
const DEFAULT_TIMEOUT = 120_000
const DEFAULT_KEEP_ALIVE_INTERVAL = 60_000

/** Whose name a service bears: its two, the newer one first (DESIGN decision 3); or ours, where nobody else has it. */
export type Generation = 'snix' | 'tvix' | 'neve'

/** What a {@link GrpcChannel} is made of. */
export interface GrpcChannelInit {
  /** What to call the server in messages. */
  readonly name: string
  readonly timeout: number
  readonly connection: ConnectionInit
}

/**
 * The connections to a gRPC server that any number of clients and calls share: one, and one more for uploads once there
 * are any. They are made with the first call, and again by themselves when they break.
 */
export class GrpcChannel implements AsyncDisposable, CallPeer {
  /** The URL without its options, for messages. */
  readonly name: string
  /** The longest that a call may go without a sign of life, in milliseconds; 0: no limit. */
  readonly timeout: number
  /** The largest message to accept, in bytes. */
  readonly maxMessageSize: number
  readonly #main: Connector
  // Uploads have a connection of their own. Node's HTTP/2 does not read while a write of its own waits: two ends that
  // both send much over one connection would wait for each other for ever.
  readonly #uploads: Connector
  readonly #clients = new Map<ServiceDefinition, unknown>()
  readonly #generations = new Map<string, Generation>()
  #closed = false

  /** @internal use {@link openGrpcChannel} */
  constructor({ name, timeout, connection }: GrpcChannelInit) {
    this.name = name
    this.timeout = timeout
    this.maxMessageSize = connection.maxMessageSize
    this.#main = new Connector(connection)
    this.#uploads = new Connector(connection)
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed
  }

  /** Why calls fail at once: undefined unless the channel is closed. */
  get refusal(): CastoreError | undefined {
    if (!this.#closed) return undefined
    return new CastoreError('closed', `${this.name}: the channel is already closed`)
  }

  /** The client of a service, the same one each time. */
  client<D extends ServiceDefinition>(definition: D): GrpcClient<D> {
    let client = this.#clients.get(definition) as GrpcClient<D> | undefined
    if (client === undefined) {
      client = createGrpcClient(definition, async (method, options) => {
        const call = new ClientCall(this, method, options)
        await call.begin(method.requestStream ? this.#uploads : this.#main)
        return call
      })
      this.#clients.set(definition, client)
    }
    return client
  }

  /** The generation under whose name the server was seen to offer a service; undefined while that is not known. */
  generation(service: string): Generation | undefined {
    return this.#generations.get(service)
  }

  /** Remembers under whose name the server offers a service. */
  rememberGeneration(service: string, generation: Generation): void {
    this.#generations.set(service, generation)
  }

  /**
   * Connects, if there is no connection.
   *
   * @throws CastoreError `unavailable` when the attempt fails, `closed` after `close`
   */
  async connect({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    try {
      await abortable(Promise.resolve(this.#main.connection()), signal)
    } catch (cause) {
      signal?.throwIfAborted()
      if (this.refusal !== undefined) throw this.refusal
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new CastoreError('unavailable', `${this.name}: unable to connect: ${reason}`, { cause })
    }
  }

  /** Ends the connections; calls that run fail. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#main.close()
    this.#uploads.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Has one connection at a time, made when it is needed. */
class Connector {
  readonly #init: ConnectionInit
  #current: Connection | undefined
  #next: Promise<Connection> | undefined
  #closed = false

  constructor(init: ConnectionInit) {
    this.#init = init
  }

  /** The connection that stands, or the one that is being made: everybody who asks meanwhile gets the same. */
  connection(): Connection | Promise<Connection> {
    if (this.#current?.usable) return this.#current
    this.#next ??= this.#connect().finally(() => (this.#next = undefined))
    return this.#next
  }

  close(): void {
    this.#closed = true
    this.#current?.close()
  }

  async #connect(): Promise<Connection> {
    if (this.#closed) throw new Error('the channel was closed')
    const connection = await Connection.open(this.#init)
    this.#current = connection
    if (!this.#closed) return connection
    connection.close()
    throw new Error('the channel was closed')
  }
}

/**
 * Makes a channel for a `grpc+unix:`, `grpc+http:` or `grpc+https:` URL (spec 02 section 16.3). Close it when done.
 *
 * @throws CastoreError `invalid-input` for a URL, certificate, key or token that cannot be used; `unavailable` when it was to
 *   connect and could not
 */
export async function openGrpcChannel(url: string, options: GrpcChannelOptions = {}): Promise<GrpcChannel> {
  options.signal?.throwIfAborted()
  const address = parseGrpcUrl(url)
  const context = await clientContext(address, options.tls)
  const token = await tokenFor(address, options.token)
  const channel = new GrpcChannel({
    name: address.name,
    timeout: options.timeout ?? DEFAULT_TIMEOUT,
    connection: {
      ...endpoint(address, context, options.authority),
      token,
      connectTimeout: options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
      keepAliveInterval: options.keepAliveInterval ?? DEFAULT_KEEP_ALIVE_INTERVAL,
      window: options.window ?? DEFAULT_WINDOW,
      maxMessageSize: options.maxMessageSize ?? DEFAULT_MAX_MESSAGE_SIZE,
    },
  })
  if (options.waitConnect ?? address.options.waitConnect ?? false) {
    try {
      await channel.connect({ signal: options.signal })
    } catch (error) {
      await channel.close()
      throw error
    }
  }
  return channel
}

async function tokenFor(
  { name, options }: GrpcAddress,
  given: string | undefined,
): Promise<string | undefined> {
  if (options.tokenPath !== undefined) return readTokenFile(options.tokenPath)
  return given === undefined ? undefined : checkToken(given, name)
}

function endpoint(
  { endpoint }: GrpcAddress,
  context: SecureContext | undefined,
  override: string | undefined,
): Pick<ConnectionInit, 'dial' | 'scheme' | 'authority'> {
  const authority = override ?? authorityOf(endpoint)
  if (endpoint.kind === 'unix') return { dial: () => connectTcp(endpoint.path), scheme: 'http', authority }
  const { host, port } = endpoint
  if (context === undefined) return { dial: () => dialTcp(host, port), scheme: 'http', authority }
  const name = override?.replace(/:\d+$/, '') ?? host
  const dial = (): Socket =>
    connectTls({
      host,
      port,
      secureContext: context,
      ALPNProtocols: ['h2'],
      // Addresses are not sent as names; without one, the certificate is compared with the host.
      ...(isIP(name) === 0 && { servername: name }),
    }).setNoDelay(true)
  return { dial, scheme: 'https', authority }
}

function dialTcp(host: string, port: number): Socket {
  return connectTcp({ host, port, noDelay: true })
}

function authorityOf(endpoint: GrpcEndpoint): string {
  if (endpoint.kind === 'unix') return 'localhost'
  const { host, port } = endpoint
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}
