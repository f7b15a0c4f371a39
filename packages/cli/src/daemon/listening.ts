import type { Socket } from 'node:net'
import { listenerUrl } from '@neve/castore-services/grpc/server'
import {
  type BoundSocket,
  isLoopback,
  type ListenAddress,
  type ListenSocketOptions,
  listenOn,
  type OnConnection,
  parseListenAddress,
  passedEnvironment,
} from '@neve/castore-services/listen'
import { UsageError } from '../messages.js'
import { expectAccessControl } from './access.js'
import { type AccessOptions, type ListeningOptions, socketMode } from './options.js'
import type { ConnectionOrigin } from './store-server.js'

/** What is spoken over a connection. */
export type Protocol = 'grpc' | 'http'

/** Where a command is asked to listen. */
export interface ListenRequest {
  /** What said so, for messages. */
  readonly flag: string
  readonly protocol: Protocol
  readonly addresses: readonly string[]
}

/** One address to listen on. */
export interface ListenPlace {
  readonly address: Exclude<ListenAddress, { readonly kind: 'stdio' }>
  readonly request: Omit<ListenRequest, 'addresses'>
}

/** Where to listen, understood and checked before anything is opened. */
export interface ListenPlan {
  readonly places: readonly ListenPlace[]
  /** Whether one connection comes over standard input and output. */
  readonly stdio: boolean
  readonly options: ListenSocketOptions
  /** @throws UsageError for an address at which everybody would get in */
  readonly expectAccessControl: (request: Omit<ListenRequest, 'addresses'>, address: string) => void
}

/**
 * @param caches who may do what in each of the caches that are served over HTTP, if any are
 * @throws UsageError for an address that is none, or that lets in everybody without `--insecure`
 */
export function listenPlan(
  requests: readonly ListenRequest[],
  options: ListeningOptions & AccessOptions,
  caches: readonly Pick<AccessOptions, 'tokenFile' | 'readOnly'>[] = [],
): ListenPlan {
  const checked: ListenPlan['expectAccessControl'] = (request, address) => {
    const rules = request.protocol === 'http' && caches.length > 0 ? caches : [options]
    const { tlsClientCa, insecure } = options
    for (const { tokenFile, readOnly } of rules) {
      expectAccessControl(request, address, { tlsClientCa, insecure, tokenFile, readOnly })
    }
  }
  const places: ListenPlace[] = []
  let stdio = false
  for (const { addresses, ...request } of requests) {
    for (const text of addresses) {
      const address = parse(request.flag, text)
      if (address.kind !== 'stdio') {
        if (address.kind === 'tcp' && !isLoopback(address.host)) checked(request, text)
        places.push({ address, request })
      } else if (request.protocol === 'grpc') stdio = true
      else throw new UsageError(`${request.flag}: HTTP is not served over standard input and output`)
    }
  }
  return {
    places,
    stdio,
    expectAccessControl: checked,
    options: {
      unlink: options.unixListenUnlink,
      mode: socketMode(options.unixListenChmod),
      uid: options.unixListenUid,
      gid: options.unixListenGid,
      ignoreEnvironment: options.sdAcceptIgnoreEnvironment,
      // Taken now, so that nobody who is started by this process believes that it was meant.
      passed: passedEnvironment(),
      keepAlive: options.tcpKeepalive,
      ipv6Only: options.tcpOnlyV6,
      backlog: options.tcpListenBacklog,
    },
  }
}

function parse(flag: string, text: string): ListenAddress {
  try {
    return parseListenAddress(text)
  } catch (error) {
    throw new UsageError(`${flag}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The sockets of a plan, all of them listening. */
export class Sockets implements AsyncDisposable {
  readonly #bound: { readonly socket: BoundSocket; readonly protocol: Protocol }[] = []

  /**
   * Begins to listen.
   *
   * @throws CastoreError; UsageError for a socket that was passed, if it lets in everybody without `--insecure`
   */
  async open(
    { places, options, expectAccessControl }: ListenPlan,
    onConnection: (socket: Socket, via: ConnectionOrigin) => void,
    more: Pick<ListenSocketOptions, 'paused' | 'onError'>,
  ): Promise<void> {
    for (const { address, request } of places) {
      const { protocol } = request
      const connect: OnConnection = (socket, { tcp }) => onConnection(socket, { tcp, protocol })
      const bound = await listenOn(address, connect, { ...options, ...more })
      this.#bound.push(...bound.map((socket) => ({ socket, protocol })))
      for (const { remote, address: text } of bound) if (remote) expectAccessControl(request, text)
    }
  }

  /** Those over which a token, or anything else, can be read on its way. */
  get remote(): readonly string[] {
    return this.#bound.filter(({ socket }) => socket.remote).map(({ socket }) => socket.address)
  }

  /** What clients may use: URLs, and names where there is no URL. */
  urls(tls: boolean): string[] {
    return this.#bound.map(({ socket, protocol }) =>
      protocol === 'http' ? httpUrl(socket, tls) : listenerUrl(socket, tls),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#bound.splice(0).map(({ socket }) => socket.close()))
  }
}

/** What browsers and Nix take; socket files have no URL. */
function httpUrl({ kind, address }: BoundSocket, tls: boolean): string {
  return kind === 'tcp' ? `${tls ? 'https' : 'http'}://${address}` : address
}
