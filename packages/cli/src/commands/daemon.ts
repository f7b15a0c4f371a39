import { Command } from 'commander'
import type { Context } from '../context.js'
import { addGcOptions, GC_HELP } from '../daemon/gc-plan.js'
import {
  addDaemonOptions,
  addHttpListening,
  besideRequest,
  DAEMON_HELP,
  type DaemonOptions,
  grpcRequest,
} from '../daemon/options.js'
import { serveStore } from '../daemon/serve-store.js'
import { cachePlans } from '../http/cache-plan.js'
import { addHttpOptions } from '../http/options.js'

const EXAMPLES = `
Examples:
  $ neve daemon
  $ neve daemon --listen-address /run/neve.sock --unix-listen-chmod group
  $ neve daemon -l '[::1]:8000' -l /run/neve.sock --workers 4
  $ neve daemon -l 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --token-file /etc/neve/tokens
  $ neve daemon -l 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --tls-client-ca clients.pem
  $ neve daemon --listen-address sd-listen --store-config stores.toml --read-only
  $ neve daemon --http --sign-key cache.key
  $ neve daemon --http 0.0.0.0:9000 --read-only
  $ neve daemon --gc-every 1d --keep-used-within 30d --max-size 100G
  $ neve daemon --min-free 10G --max-free 50G
  $ neve daemon --scrub-every 7d --scrub-bandwidth 10M --scrub-state /var/lib/neve.scrub
  $ ssh host neve daemon --listen-address stdio

Blobs, directories and path infos are served together, so that this is a whole store for others:
  $ neve import --store grpc+unix:/run/neve.sock ./result
  $ neve pull --from grpc+unix:/run/neve.sock --all

With --http the same process serves the same store to Nix and browsers, as neve nar-bridge does; where, says
NEVE_HTTP_LISTEN_ADDRESS when no flag does. Tokens, certificates and --read-only are for both.

${GC_HELP}
--scrub-every has all that store paths stand for read and compared with its digests, as neve verify does, the first time when
that time has passed. Damage is told in the log and in metrics; nothing is written. With --scrub-state, what a restart
interrupted goes on at once where it was.
${DAEMON_HELP}`

/** `neve daemon` (spec 08 section 3.1). */
export function daemonCommand(context: Context): Command {
  const command = new Command('daemon').description(
    'Serve a store over gRPC, to clients of Neve, Tvix and Snix, and as a binary cache over HTTP, to Nix.',
  )
  addHttpOptions(addHttpListening(addDaemonOptions(command)))
  return addGcOptions(command)
    .option('--no-list', 'do not tell clients which path infos there are')
    .option(
      '--scrub-every <time>',
      'verify the whole store time and again, such as every 7d (default: never)',
    )
    .option('--scrub-bandwidth <bytes>', 'how much a scrub reads in a second (default: 20M)')
    .option('--scrub-state <file>', 'where a scrub writes down how far it has come, to go on after a restart')
    .addHelpText('after', EXAMPLES)
    .action(async (_: unknown, self: Command) => {
      const options = self.optsWithGlobals<DaemonOptions>()
      const http = { caches: await cachePlans(options) }
      const requests = [grpcRequest(options), besideRequest(options)]
      await serveStore(context, options, requests, { grpc: 'store', http })
    })
}
