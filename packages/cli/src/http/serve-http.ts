import type { ListenAddress } from '@neve/castore-services/listen'
import type { RunningServer } from '@neve/nar-bridge/server'
import type { Context } from '../context.js'
import { UsageError } from '../messages.js'
import type { BinaryCache } from './binary-cache.js'
import type { HttpOptions } from './options.js'

/**
 * Checks where to listen, before anything is opened.
 *
 * @param flag that said so
 * @throws UsageError for an address that cannot be understood, or that lets in everybody without `--insecure`
 */
export async function checkHttpAddress(flag: string, text: string, options: HttpOptions): Promise<void> {
  const { isLoopback, parseListenAddress } = await import('@neve/castore-services/listen')
  let address: ListenAddress
  try {
    address = parseListenAddress(text)
  } catch (error) {
    throw new UsageError(`${flag}: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (address.kind === 'stdio')
    throw new UsageError(`${flag}: HTTP is not served over standard input and output`)
  if (address.kind !== 'tcp' || isLoopback(address.host)) return
  if (options.tokenFile !== undefined || options.insecure === true || options.readOnly === true) return
  throw new UsageError(
    `${flag} ${text} can be reached by others: give --token-file or --read-only, or --insecure to let everybody write`,
  )
}

/** Listens, and serves a cache until the server is closed. */
export async function listenHttp(listen: string, { bridge, onAccess }: BinaryCache): Promise<RunningServer> {
  const { serve } = await import('@neve/nar-bridge/server')
  return serve(bridge, { listen, onAccess })
}

/** The tokens that the options name, read again on SIGHUP. */
export async function httpTokens({ io }: Context, { tokenFile }: HttpOptions) {
  if (tokenFile === undefined) return undefined
  const { AccessTokens } = await import('@neve/castore-services/grpc/server')
  const tokens = await AccessTokens.fromFile(tokenFile)
  process.on('SIGHUP', () => {
    tokens.reload().catch((error: Error) => io.stderr.write(`neve: ${error.message}\n`))
  })
  return tokens
}
