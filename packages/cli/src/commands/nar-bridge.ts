import { Command } from 'commander'
import type { Context } from '../context.js'
import { addGcOptions, GC_HELP } from '../daemon/gc-plan.js'
import { addHttpServingOptions, type DaemonOptions, HTTP_HELP, httpRequest } from '../daemon/options.js'
import { serveStore } from '../daemon/serve-store.js'
import { cachePlans } from '../http/cache-plan.js'
import { addHttpOptions } from '../http/options.js'

const EXAMPLES = `
Examples:
  $ neve nar-bridge
  $ neve nar-bridge -l /run/neve-http.sock --sign-key secret.key
  $ neve nar-bridge -l 0.0.0.0:9000 --token-file /etc/neve/tokens --workers 2
  $ neve nar-bridge -l 0.0.0.0:9000 --read-only --store-config stores.toml
  $ neve nar-bridge --cache '/all?read-only=true' --cache '/team?sign-key=team.key&token-file=team.tokens'
  $ neve nar-bridge --cache-config caches.toml
  $ neve nar-bridge --gc-every 1d --max-size 100G --min-free 10G

Nix reads from it, and writes to it:
  $ nix copy --from 'http://[::1]:9000' /nix/store/…
  $ nix copy --to 'http://[::1]:9000' ./result

NEVE_HTTP_LISTEN_ADDRESS says where to listen, separated by spaces, when no flag does. neve daemon --http serves the same
beside gRPC. docs/binary-cache.md tells the rest.

${GC_HELP}`

/** `neve nar-bridge` (spec 08 section 5). */
export function narBridgeCommand(context: Context): Command {
  const command = new Command('nar-bridge').description(
    'Serve a store as a Nix binary cache over HTTP, for reading and writing.',
  )
  return addGcOptions(addHttpServingOptions(addHttpOptions(command)))
    .addHelpText('after', `${EXAMPLES}${HTTP_HELP}`)
    .action(async (_: unknown, self: Command) => {
      const options = self.optsWithGlobals<DaemonOptions>()
      const caches = await cachePlans(options)
      await serveStore(context, options, [httpRequest(options)], { http: { caches } })
    })
}
