import { join } from 'node:path'
import { type Daemon, startDaemon } from './servers.js'
import { temporaryFolder } from './support.js'

/** A `neve daemon` over a store of its own, and the options that name it. */
export async function serving(
  ...args: string[]
): Promise<Daemon & { readonly store: string; readonly at: string[] }> {
  const folder = temporaryFolder()
  const [store, socket] = [join(folder, 'served'), join(folder, 'socket')]
  const daemon = await startDaemon(['-l', socket, '--store', store, ...args], {}, 'daemon')
  const flags = ['--blob-service-addr', '--directory-service-addr', '--path-info-service-addr']
  return { ...daemon, store, at: flags.flatMap((flag) => [flag, `grpc+unix:${socket}`]) }
}
