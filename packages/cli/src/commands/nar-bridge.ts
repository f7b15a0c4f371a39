import { closeSync, writeSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Context } from '../context.js'
import { addHttpOptions, type HttpOptions } from '../http/options.js'

interface NarBridgeOptions extends HttpOptions {
  readonly listenAddress: string
  readonly grace: number
  readonly readyFd?: number
}

const EXAMPLES = `
Examples:
  $ neve nar-bridge
  $ neve nar-bridge -l /run/neve-http.sock --sign-key secret.key
  $ neve nar-bridge -l 0.0.0.0:9000 --token-file /etc/neve/tokens
  $ neve nar-bridge -l 0.0.0.0:9000 --read-only --store-config stores.toml

Nix reads from it, and writes to it:
  $ nix copy --from 'http://[::1]:9000' /nix/store/…
  $ nix copy --to 'http://[::1]:9000' ./result

An address is IPv4:port, [IPv6]:port, the path of a socket, @name, or sd-listen for the one that systemd passed. On
addresses that other machines can reach it needs --token-file, --read-only or --insecure. A token file has 'read TOKEN'
or 'write TOKEN' on each line, and is for its owner and group only; SIGHUP has it read again. Nix sends a token as the
password that its netrc file has for the host. docs/binary-cache.md tells the rest.
`

/** `neve nar-bridge` (spec 08 section 5). */
export function narBridgeCommand(context: Context): Command {
  const command = new Command('nar-bridge')
    .description('Serve a store as a Nix binary cache over HTTP, for reading and writing.')
    .addOption(
      new Option('-l, --listen-address <address>', 'where to listen')
        .default('[::1]:9000')
        .env('NEVE_HTTP_LISTEN_ADDRESS'),
    )
  return addHttpOptions(command)
    .option('--token-file <file>', 'answer only clients with one of the tokens in this file')
    .option('--read-only', 'take nothing')
    .option('--insecure', 'let in everybody on addresses that others can reach')
    .addOption(
      new Option('--grace <seconds>', 'how long requests that run may go on after a stop')
        .default(10)
        .argParser(number('a number of seconds')),
    )
    .option(
      '--ready-fd <number>',
      'write a line break to this descriptor when clients can connect',
      number('the number of a file descriptor'),
    )
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => serveCache(context, self.optsWithGlobals<NarBridgeOptions>()))
}

async function serveCache(context: Context, options: NarBridgeOptions): Promise<void> {
  const [{ checkHttpAddress, httpTokens, listenHttp }, { openBinaryCache }] = await Promise.all([
    import('../http/serve-http.js'),
    import('../http/binary-cache.js'),
  ])
  const { listenAddress, readOnly, grace, readyFd } = options
  await checkHttpAddress('--listen-address', listenAddress, options)
  const tokens = await httpTokens(context, options)
  await using store = await context.openStore(options, readOnly === true ? 'read' : 'write')
  await using cache = await openBinaryCache(context, store, options, tokens)
  const server = await listenHttp(listenAddress, cache)
  try {
    context.runsUntilStopped = true
    const { signal, stderr } = context.io
    stderr.write(`neve: serving on ${server.url}\n`)
    if (readyFd !== undefined) {
      writeSync(readyFd, '\n')
      if (readyFd > 2) closeSync(readyFd)
    }
    if (!signal.aborted) {
      await new Promise<void>((stop) => signal.addEventListener('abort', () => stop(), { once: true }))
    }
  } finally {
    await server.close({ grace: grace * 1000 })
  }
}

function number(expected: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,5}$/.test(text)) return Number(text)
    throw new InvalidArgumentError(`Expected ${expected}`)
  }
}
