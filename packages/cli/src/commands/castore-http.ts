import { Command, Option } from 'commander'
import { checkAddress } from '../address.js'
import type { Context } from '../context.js'
import { addSiteServingOptions, type DaemonOptions, HTTP_HELP, httpRequest } from '../daemon/options.js'
import { serveStore } from '../daemon/serve-store.js'
import { addAccessLog } from '../http/options.js'
import { UsageError } from '../messages.js'

interface CastoreHttpOptions extends DaemonOptions {
  readonly rootDirectory?: string
  readonly indexNames: readonly string[]
  readonly autoIndex?: boolean
}

const EXAMPLES = `
Examples:
  $ neve castore-http /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-manual/share/doc
  $ neve castore-http --root-directory blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI= --auto-index
  $ neve castore-http --index-names index.html,README.txt -l 0.0.0.0:8080 "$(neve import ./site)"
  $ neve castore-http -l 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --access-log "$(neve import ./site)"

A directory is served by the first of the index names that is in it, else as a list with --auto-index, else refused.
Links are redirects to where they lead, within the site. What is served never changes: to serve something else, import
that and start again.
`

/** `neve castore-http` (spec 08 section 3.6). */
export function castoreHttpCommand(context: Context): Command {
  const command = new Command('castore-http')
    .description('Serve a tree of the store as a web site.')
    .argument('[address]', 'a store path or digest, with or without /sub/path')
    .option('-r, --root-directory <digest>', 'the directory to serve, instead of an address')
    .addOption(
      new Option('--index-names <names>', 'files that stand for their directory, with commas between them')
        .argParser((text) => text.split(',').filter((name) => name !== ''))
        .default(['index.html'], 'index.html'),
    )
    .option('-a, --auto-index', 'list directories that have none of them')
  return addSiteServingOptions(addAccessLog(command))
    .addHelpText('after', `${EXAMPLES}${HTTP_HELP}`)
    .action((address: string | undefined, _: unknown, self: Command) =>
      serveSite(context, address, self.optsWithGlobals<CastoreHttpOptions>()),
    )
}

async function serveSite(
  context: Context,
  argument: string | undefined,
  options: CastoreHttpOptions,
): Promise<void> {
  const { rootDirectory, indexNames, autoIndex = false } = options
  if ((argument === undefined) === (rootDirectory === undefined)) {
    throw new UsageError('expected either an address or --root-directory')
  }
  const address = (argument ?? rootDirectory)!
  await checkAddress(address)
  const site = { address, directoryOnly: rootDirectory !== undefined, indexNames, autoIndex }
  // A site takes nothing.
  const reading = { ...options, readOnly: true }
  await serveStore(context, reading, [httpRequest(options)], { http: { site } })
}
