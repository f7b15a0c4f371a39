import { Command } from 'commander'
import type { Context } from '../context.js'
import { addDaemonOptions, DAEMON_HELP, type DaemonOptions, serveStore } from '../grpc-daemon.js'

const EXAMPLES = `
Examples:
  $ neve daemon
  $ neve daemon --listen-address /run/neve.sock --socket-mode 0660
  $ neve daemon -l 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --tls-client-ca clients.pem
  $ neve daemon --store-config stores.toml --read-only

Blobs, directories and path infos are served together, so that this is a whole store for others:
  $ neve import --store grpc+unix:/run/neve.sock ./result
  $ neve pull --from grpc+unix:/run/neve.sock --all
${DAEMON_HELP}`

/** `neve daemon` (spec 08 section 3.1). */
export function daemonCommand(context: Context): Command {
  const command = new Command('daemon').description(
    'Serve a store over gRPC, to clients of Neve, Tvix and Snix: blobs, directories and path infos.',
  )
  return addDaemonOptions(command)
    .option('--no-list', 'do not tell clients which path infos there are')
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => {
      const options = self.optsWithGlobals<DaemonOptions & { readonly list: boolean }>()
      return serveStore(context, options, async (store) => {
        const { addPathInfoService } = await import('@neve/store-pathinfo/grpc/server')
        return (server) =>
          addPathInfoService(server, store.pathInfos, { contents: store, list: options.list })
      })
    })
}
