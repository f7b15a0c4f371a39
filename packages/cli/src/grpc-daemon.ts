import type { CastoreServerInit } from '@neve/castore-services/grpc/server'
import type { Store } from '@neve/store-pathinfo'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Context, GlobalOptions } from './context.js'

/** Options of the commands that serve a store over gRPC. */
export interface DaemonOptions extends GlobalOptions {
  readonly listenAddress?: readonly string[]
  readonly listen?: readonly string[]
  readonly socketMode?: number
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly insecure?: boolean
  readonly readOnly?: boolean
  readonly verifyPut?: boolean
  readonly grace: number
  readonly readyFd?: number
}

const DEFAULT_LISTEN = '[::1]:8000'

/** What the help of these commands ends with. */
export const DAEMON_HELP = `
An ADDRESS is host:port, [address]:port, unix:/path or the path of a socket. Port 0 is any that is free. The line on
standard error that tells the URLs appears once clients can connect. A stop (SIGTERM or Ctrl-C) lets calls that run
end, for as long as --grace says; a second one ends at once.
Addresses that others can reach need --tls-client-ca, so that only clients with a certificate get in, or --insecure.
`

/** Adds the options to a command. */
export function addDaemonOptions(command: Command): Command {
  const several = (address: string, before: readonly string[] = []) => [...before, address]
  return command
    .option(
      '-l, --listen-address <address>',
      `where to listen; may be given several times (default: ${DEFAULT_LISTEN})`,
      several,
    )
    .addOption(new Option('--listen <address>').argParser(several).hideHelp())
    .option(
      '--socket-mode <mode>',
      'permissions of socket files, such as 0660 (default: by umask)',
      parseMode,
    )
    .option(
      '--tls-cert <file>',
      'serve over TLS: the certificate, with those between it and its authority, in PEM',
    )
    .option('--tls-key <file>', 'the private key of the certificate, in PEM')
    .option('--tls-client-ca <file>', 'let in only clients with a certificate of these authorities, in PEM')
    .option('--insecure', 'listen without client certificates on addresses that others can reach')
    .option('--read-only', 'refuse everything that would change the store')
    .option(
      '--verify-put',
      'hash a blob when its list of chunks is uploaded, not only when it is read (clients of newest Snix)',
    )
    .addOption(
      new Option('--grace <seconds>', 'how long calls that run may go on after a stop')
        .default(10)
        .argParser(parseSeconds),
    )
    .option('--ready-fd <number>', 'write a line break to this descriptor when clients can connect', parseFd)
}

/**
 * Serves a store until it is told to stop.
 *
 * @param extend adds what is served beside blobs and directories
 */
export async function serveStore(
  context: Context,
  options: DaemonOptions,
  extend?: (store: Store) => Promise<CastoreServerInit['extend']>,
): Promise<void> {
  const [{ listenAddresses, readTls, waitForStop }, { castoreServer }, { observedStore, observeServer }] =
    await Promise.all([
      import('./serving.js'),
      import('@neve/castore-services/grpc/server'),
      import('./observe/observed-server.js'),
    ])
  const given = [...(options.listenAddress ?? []), ...(options.listen ?? [])]
  const addresses = listenAddresses(given.length === 0 ? [DEFAULT_LISTEN] : given, options)
  const tls = readTls(options)
  const { signal } = context.io
  await using opened = await context.openStore(options, options.readOnly === true ? 'read' : 'write')
  const store = observedStore(options.readOnly === true ? await readonlyStore(opened) : opened)
  const stopping = new AbortController()
  const observe = await observeServer({ store, log: await context.log(), stop: stopping.signal })
  const addMore = await extend?.(store)
  const server = castoreServer({
    blobs: store.blobs,
    directories: store.directories,
    tls,
    verifyPut: options.verifyPut,
    extend(registry) {
      addMore?.(registry)
      observe(registry)
    },
  })
  try {
    const urls: string[] = []
    for (const address of addresses) {
      signal.throwIfAborted()
      urls.push((await server.listen(address, { mode: options.socketMode })).url)
    }
    context.runsUntilStopped = true
    await waitForStop(context, urls, options.readyFd)
  } finally {
    stopping.abort()
    await server.close({ grace: options.grace * 1000 })
  }
}

/** The same store for readers; it is closed by whoever opened the other one. */
async function readonlyStore({ blobs, directories, pathInfos }: Store): Promise<Store> {
  const [{ ReadonlyBlobService }, { ReadonlyDirectoryService }, { ReadonlyPathInfoService, Store }] =
    await Promise.all([
      import('@neve/castore-services/blob/readonly'),
      import('@neve/castore-services/directory/readonly'),
      import('@neve/store-pathinfo'),
    ])
  return new Store({
    blobs: new ReadonlyBlobService(blobs),
    directories: new ReadonlyDirectoryService(directories),
    pathInfos: new ReadonlyPathInfoService(pathInfos),
  })
}

function parseMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8)
  throw new InvalidArgumentError('Expected three octal digits such as 0660')
}

function parseSeconds(text: string): number {
  if (/^\d{1,5}(\.\d+)?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a number of seconds')
}

function parseFd(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected the number of a file descriptor')
}
