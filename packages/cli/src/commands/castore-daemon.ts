import { Command } from 'commander'
import type { Context } from '../context.js'
import { addDaemonOptions, DAEMON_HELP, type DaemonOptions, grpcRequest } from '../daemon/options.js'
import { serveStore } from '../daemon/serve-store.js'

const EXAMPLES = `
Examples:
  $ neve castore-daemon
  $ neve castore-daemon --listen-address /run/neve.sock --unix-listen-chmod group
  $ neve castore-daemon -l '[::1]:8000' -l /run/neve.sock --store /srv/neve
  $ neve castore-daemon -l 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key --tls-client-ca clients.pem
  $ neve castore-daemon --blob-service-addr objectstore+s3://bucket --directory-service-addr objectstore+s3://bucket
${DAEMON_HELP}`

/** `neve castore-daemon` (spec 08 section 3.6). */
export function castoreDaemonCommand(context: Context): Command {
  const command = new Command('castore-daemon').description(
    'Serve blobs and directories over gRPC, to clients of Neve, Tvix and Snix.',
  )
  return addDaemonOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => {
      const options = self.optsWithGlobals<DaemonOptions>()
      return serveStore(context, options, [grpcRequest(options)], { grpc: 'castore' })
    })
}
