import { Command, Option } from 'commander'
import { checkAddress, resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'
import { describe, oneLine, UsageError } from '../messages.js'

interface CastoreHttpOptions extends GlobalOptions {
  readonly rootDirectory?: string
  readonly indexNames: readonly string[]
  readonly autoIndex?: boolean
  readonly listenAddress: string
  readonly tokenFile?: string
}

const EXAMPLES = `
Examples:
  $ neve castore-http /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-manual/share/doc
  $ neve castore-http --root-directory blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI= --auto-index
  $ neve castore-http --index-names index.html,README.txt -l 0.0.0.0:8080 "$(neve import ./site)"

A directory is served by the first of the index names that is in it, else as a list with --auto-index, else refused.
Links are redirects to where they lead, within the site. What is served never changes: to serve something else, import
that and start again.
`

/** `neve castore-http` (spec 08 section 3.6). */
export function castoreHttpCommand(context: Context): Command {
  return new Command('castore-http')
    .description('Serve a tree of the store as a web site.')
    .argument('[address]', 'a store path or digest, with or without /sub/path')
    .option('-r, --root-directory <digest>', 'the directory to serve, instead of an address')
    .addOption(
      new Option('--index-names <names>', 'files that stand for their directory, with commas between them')
        .argParser((text) => text.split(',').filter((name) => name !== ''))
        .default(['index.html'], 'index.html'),
    )
    .option('-a, --auto-index', 'list directories that have none of them')
    .addOption(
      new Option('-l, --listen-address <address>', 'where to listen')
        .default('[::1]:9000')
        .env('NEVE_HTTP_LISTEN_ADDRESS'),
    )
    .option('--token-file <file>', 'answer only clients with one of the tokens in this file')
    .addHelpText('after', EXAMPLES)
    .action((address: string | undefined, _: unknown, self: Command) =>
      serveSite(context, address, self.optsWithGlobals<CastoreHttpOptions>()),
    )
}

async function serveSite(
  context: Context,
  argument: string | undefined,
  options: CastoreHttpOptions,
): Promise<void> {
  const { rootDirectory, indexNames, autoIndex, listenAddress } = options
  if ((argument === undefined) === (rootDirectory === undefined)) {
    throw new UsageError('expected either an address or --root-directory')
  }
  const address = (argument ?? rootDirectory)!
  await checkAddress(address)
  const [{ castoreHttp }, { serve }] = await Promise.all([
    import('@neve/nar-bridge'),
    import('@neve/nar-bridge/server'),
    checkListenAddress(listenAddress),
  ])
  const tokens = await readTokens(context, options)
  await using store = await context.openStore(options, 'read')
  const { node } = await resolveAddress(store, address)
  if (rootDirectory !== undefined && node.kind !== 'directory') {
    throw new UsageError(`--root-directory: ${rootDirectory} is a ${node.kind}, expected a directory`)
  }
  const { io } = context
  const site = castoreHttp(store, node, {
    ...{ indexNames, autoIndex, tokens },
    onError: ({ method, target }, error) => {
      io.stderr.write(`neve: ${oneLine(`${method} ${target}`)}: ${describe(error, io.debug)}\n`)
    },
  })
  await using server = await serve(site, { listen: listenAddress })
  context.runsUntilStopped = true
  io.stderr.write(`neve: serving on ${server.url}\n`)
  if (io.signal.aborted) return
  await new Promise<void>((stop) => io.signal.addEventListener('abort', () => stop(), { once: true }))
}

/** @throws UsageError */
async function checkListenAddress(text: string): Promise<void> {
  const { parseListenAddress } = await import('@neve/castore-services/listen')
  try {
    if (parseListenAddress(text).kind !== 'stdio') return
  } catch (error) {
    throw new UsageError(`--listen-address: ${error instanceof Error ? error.message : String(error)}`)
  }
  throw new UsageError('--listen-address: HTTP is not served over standard input and output')
}

/** Read again when they have changed, and on SIGHUP. */
async function readTokens({ io }: Context, { tokenFile }: CastoreHttpOptions) {
  if (tokenFile === undefined) return undefined
  const { AccessTokens } = await import('@neve/castore-services/grpc/server')
  const onError = (error: unknown): void => io.stderr.write(`neve: ${describe(error)}\n`)
  const tokens = await AccessTokens.fromFile(tokenFile, { onError })
  process.on('SIGHUP', () => void tokens.reload().catch(onError))
  return tokens
}
