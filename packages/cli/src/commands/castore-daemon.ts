import { Command, InvalidArgumentError, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { describe } from '../messages.js'

interface DaemonOptions extends GlobalOptions {
  readonly listen?: readonly string[]
  readonly socketMode?: number
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly insecure?: boolean
  readonly verifyPut?: boolean
  readonly grace: number
  readonly readyFd?: number
}

const EXAMPLES = `
Examples:
  $ neve castore-daemon
  $ neve castore-daemon --listen /run/neve.sock --socket-mode 0660
  $ neve castore-daemon --listen '[::1]:8000' --listen unix:/run/neve.sock --store /srv/neve
  $ neve castore-daemon --listen 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --tls-client-ca clients.pem
  $ neve castore-daemon --blob-service-addr objectstore+s3://bucket --directory-service-addr objectstore+s3://bucket

An ADDRESS is host:port, [address]:port, unix:/path or the path of a socket. Port 0 is any that is free. The line on
standard error that tells the URLs appears once clients can connect. A stop (SIGTERM or Ctrl-C) lets calls that run
end, for as long as --grace says; a second one ends at once.
Addresses that others can reach need --tls-client-ca, so that only clients with a certificate get in, or --insecure.
`

const DEFAULT_LISTEN = '[::1]:8000'

/** `neve castore-daemon` (spec 08 section 3.1). */
export function castoreDaemonCommand(context: Context): Command {
  return new Command('castore-daemon')
    .description('Serve blobs and directories over gRPC, to clients of Neve, Tvix and Snix.')
    .option(
      '-l, --listen <address>',
      `where to listen; may be given several times (default: ${DEFAULT_LISTEN})`,
      (address: string, before: readonly string[] = []) => [...before, address],
    )
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
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => serve(context, self.optsWithGlobals()))
}

async function serve(context: Context, options: DaemonOptions): Promise<void> {
  const [{ listenAddresses, readTls, waitForStop }, { castoreServer }] = await Promise.all([
    import('../serving.js'),
    import('@neve/castore-services/grpc/server'),
  ])
  const addresses = listenAddresses(options.listen ?? [DEFAULT_LISTEN], options)
  const tls = readTls(options)
  const { stderr, signal } = context.io
  await using store = await context.openStore(options, 'write')
  const { blobs, directories } = store
  const server = castoreServer({
    blobs,
    directories,
    tls,
    verifyPut: options.verifyPut,
    onError: (method, error) => stderr.write(`neve: ${method}: ${describe(error, context.io.debug)}\n`),
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
    await server.close({ grace: options.grace * 1000 })
  }
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
