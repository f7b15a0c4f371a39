import { type Channel, connectivityState } from '@grpc/grpc-js'
import {
  type ChannelOptions,
  type Client,
  ClientError,
  createClient,
  type ServiceDefinition,
  Status,
} from 'nice-grpc'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { CastoreError } from '../errors.js'
import { type GrpcAddress, parseGrpcUrl } from './address.js'
import { CancellingChannel } from './cancelling-channel.js'
import { clientCredentials, type GrpcClientTls } from './tls.js'

/** How {@link openGrpcChannel} connects. What the URL says too, the option decides. */
export interface GrpcChannelOptions extends CallOptions {
  /** Connect now, and fail when that fails; else with the first call. Default: what the URL's `wait-connect` says, else no. */
  readonly waitConnect?: boolean | undefined
  /** Certificates for a `grpc+https:` URL, in place of the files that the URL names. */
  readonly tls?: GrpcClientTls | undefined
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
const KEEP_ALIVE_TIMEOUT = 20_000

/** Whose name a service bears: its two, the newer one first (DESIGN decision 3); or ours, where nobody else has it. */
export type Generation = 'snix' | 'tvix' | 'neve'

/** A call as the channel needs to know it. */
export interface CancelableCall {
  cancel(): void
}

/**
 * The connections to a gRPC server that any number of clients and calls share: one, and one more for uploads once there
 * are any. They are made with the first call, and again by themselves when they break.
 */
export class GrpcChannel implements AsyncDisposable {
  /** The URL without its options, for messages. */
  readonly name: string
  /** The longest that a call may go without a sign of life, in milliseconds; 0: no limit. */
  readonly timeout: number
  readonly #connect: () => Channel
  readonly #channel: Channel
  #uploads: Channel | undefined
  readonly #clients = new Map<ServiceDefinition, unknown>()
  readonly #generations = new Map<string, Generation>()
  readonly #running = new Set<CancelableCall>()
  #closed = false

  /** @internal use {@link openGrpcChannel} */
  constructor(name: string, timeout: number, connect: () => Channel) {
    this.name = name
    this.timeout = timeout
    this.#connect = connect
    this.#channel = connect()
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * The client of a service, the same one each time.
   *
   * @throws CastoreError `closed` after `close`
   */
  client<S extends ServiceDefinition>(definition: S): Client<S> {
    if (this.#closed) throw this.closedError()
    let client = this.#clients.get(definition) as Client<S> | undefined
    if (client === undefined) {
      client = this.#createClient(definition)
      this.#clients.set(definition, client)
    }
    return client
  }

  // Uploads have a connection of their own. Node's HTTP/2 does not read while a write of its own waits: two ends that
  // both send much over one connection would wait for each other for ever.
  #createClient<S extends ServiceDefinition>(definition: S): Client<S> {
    const client = createClient(definition, this.#channel)
    const uploads = Object.entries(definition).filter(([, method]) => method.requestStream)
    if (uploads.length === 0) return client
    this.#uploads ??= this.#connect()
    return { ...client, ...createClient(Object.fromEntries(uploads), this.#uploads) }
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
   * Has a call cancelled when the channel is closed.
   *
   * @returns takes it off again; to be called when the call is over
   */
  track(call: CancelableCall): () => void {
    this.#running.add(call)
    return () => this.#running.delete(call)
  }

  /**
   * Connects, if there is no connection.
   *
   * @throws CastoreError `unavailable` when the attempt fails, `closed` after `close`
   */
  async connect({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    for (;;) {
      if (this.#closed) throw this.closedError()
      const state = this.#channel.getConnectivityState(true)
      if (state === connectivityState.READY) return
      if (state === connectivityState.TRANSIENT_FAILURE) {
        const refusal = await this.#refusal()
        if (refusal === undefined) continue
        throw new CastoreError('unavailable', `${this.name}: unable to connect: ${refusal.details}`, {
          cause: refusal,
        })
      }
      await abortable(this.#stateAfter(state), signal)
    }
  }

  /** Ends the connection; calls that run fail. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#clients.clear()
    // Else they would run on: the library only takes no new ones.
    for (const call of this.#running) call.cancel()
    this.#channel.close()
    this.#uploads?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What calls after `close` reject with. */
  closedError(): CastoreError {
    return new CastoreError('closed', `${this.name}: the channel is already closed`)
  }

  #stateAfter(state: connectivityState): Promise<void> {
    return new Promise((resolve) => {
      this.#channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => resolve())
    })
  }

  // The state alone says nothing about the reason; a call, which fails at once, does.
  async #refusal(): Promise<ClientError | undefined> {
    try {
      await this.client(PROBE).probe(new Uint8Array(0))
    } catch (error) {
      if (error instanceof ClientError && error.code === Status.UNAVAILABLE) return error
    }
    return undefined
  }
}

const asIs = (bytes: Uint8Array): Uint8Array => bytes
/** A method that nobody has: the answer of whoever is there says that somebody is. */
const PROBE = {
  probe: {
    path: '/neve.Probe/Probe',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
    options: {},
  },
} as const

/**
 * Makes a channel for a `grpc+unix:`, `grpc+http:` or `grpc+https:` URL (spec 02 section 16.3). Close it when done.
 *
 * @throws CastoreError `invalid-input` for a URL, certificate or key that cannot be used; `unavailable` when it was to
 *   connect and could not
 */
export async function openGrpcChannel(url: string, options: GrpcChannelOptions = {}): Promise<GrpcChannel> {
  options.signal?.throwIfAborted()
  const address = parseGrpcUrl(url)
  const credentials = await clientCredentials(address, options.tls)
  const { name, target } = address
  const timeout = options.timeout ?? DEFAULT_TIMEOUT
  const channel = new GrpcChannel(
    name,
    timeout,
    () => new CancellingChannel(target, credentials, grpcOptions(address, options)),
  )
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

function grpcOptions({ local }: GrpcAddress, options: GrpcChannelOptions): ChannelOptions {
  const keepAlive = options.keepAliveInterval ?? DEFAULT_KEEP_ALIVE_INTERVAL
  return {
    'grpc.max_receive_message_length': options.maxMessageSize ?? DEFAULT_MAX_MESSAGE_SIZE,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': options.window ?? DEFAULT_WINDOW,
    // The name is the connector's, which reads it as the longest that an attempt may take.
    'grpc.min_reconnect_backoff_ms': options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
    // Its retries keep a copy of every message, and say of one that was copied that it was sent: a writer would never
    // be held back. Ours know which calls may be repeated.
    'grpc.enable_retries': 0,
    'grpc.per_rpc_retry_buffer_size': 0,
    'grpc.retry_buffer_size': 0,
    'grpc.enable_channelz': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    ...(local && { 'grpc.enable_http_proxy': 0 }),
    ...(keepAlive > 0 && {
      'grpc.keepalive_time_ms': keepAlive,
      'grpc.keepalive_timeout_ms': KEEP_ALIVE_TIMEOUT,
    }),
    ...(options.authority !== undefined && {
      'grpc.default_authority': options.authority,
      'grpc.ssl_target_name_override': options.authority,
    }),
  }
}
