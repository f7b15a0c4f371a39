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
import { type AccessOptions, DEFAULT_LISTEN, type ListeningOptions, socketMode } from './options.js'

/** Where to listen, understood and checked before anything is opened. */
export interface ListenPlan {
  readonly addresses: readonly Exclude<ListenAddress, { readonly kind: 'stdio' }>[]
  /** Whether one connection comes over standard input and output. */
  readonly stdio: boolean
  readonly options: ListenSocketOptions
}

/** @throws UsageError for an address that is none, or that lets in everybody without `--insecure` */
export function listenPlan(
  options: ListeningOptions & AccessOptions,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ListenPlan {
  const variable = environment['NEVE_LISTEN_ADDRESS']?.split(/\s+/).filter((text) => text !== '') ?? []
  const texts = options.listenAddress ?? (variable.length > 0 ? variable : [DEFAULT_LISTEN])
  const parsed = texts.map((text) => {
    const address = parse(text)
    if (address.kind === 'tcp' && !isLoopback(address.host)) expectAccessControl(text, options)
    return address
  })
  const addresses = parsed.filter((address) => address.kind !== 'stdio')
  return {
    addresses,
    stdio: addresses.length < parsed.length,
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

function parse(text: string): ListenAddress {
  try {
    return parseListenAddress(text)
  } catch (error) {
    throw new UsageError(`--listen-address: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The sockets of a plan, all of them listening. */
export class Sockets implements AsyncDisposable {
  readonly #bound: BoundSocket[] = []

  /**
   * Begins to listen.
   *
   * @throws CastoreError; UsageError for a socket that was passed, if it lets in everybody without `--insecure`
   */
  async open(
    { addresses, options }: ListenPlan,
    access: AccessOptions,
    onConnection: OnConnection,
    more: Pick<ListenSocketOptions, 'paused' | 'onError'>,
  ): Promise<void> {
    for (const address of addresses) {
      const bound = await listenOn(address, onConnection, { ...options, ...more })
      this.#bound.push(...bound)
      for (const { remote, address: text } of bound) if (remote) expectAccessControl(text, access)
    }
  }

  /** Those over which a token, or anything else, can be read on its way. */
  get remote(): readonly string[] {
    return this.#bound.filter(({ remote }) => remote).map(({ address }) => address)
  }

  /** What clients may use: URLs, and names where there is no URL. */
  urls(tls: boolean): string[] {
    return this.#bound.map((socket) => listenerUrl(socket, tls))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#bound.splice(0).map((socket) => socket.close()))
  }
}
