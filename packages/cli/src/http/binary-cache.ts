import { join } from 'node:path'
import type { ObjectStore } from '@neve/castore-services/object-store'
import type { NarBridge, TokenSource } from '@neve/nar-bridge'
import type { Access } from '@neve/nar-bridge/server'
import type { Store } from '@neve/store-pathinfo'
import type { Context } from '../context.js'
import { describe, oneLine, UsageError } from '../messages.js'
import type { HttpOptions } from './options.js'

/** A binary cache that is ready to be served. */
export interface BinaryCache extends AsyncDisposable {
  readonly bridge: NarBridge
  /** Told of every request, where the user wants to hear of it. */
  readonly onAccess: ((access: Access) => void) | undefined
}

/** Inside an embedded store, beside what is its own. */
const FOLDER = 'binary-cache'

/**
 * Makes a binary cache of a store, as the options say.
 *
 * @param store stays open when the cache is disposed of
 * @throws UsageError for keys that are none, and where uploads could not be remembered; StoreError `invalid-key`
 */
export async function openBinaryCache(
  { io }: Context,
  store: Store,
  options: HttpOptions,
  tokens: TokenSource | undefined,
): Promise<BinaryCache> {
  const [{ narBridge }, { readKeyFile }, { PublicKey }] = await Promise.all([
    import('@neve/nar-bridge'),
    import('@neve/store-pathinfo'),
    import('@neve/nix-compat'),
  ])
  const signKeys = await Promise.all((options.signKey ?? []).map(readKeyFile))
  const requireSignatures = (options.requireSignature ?? []).map((text) => {
    try {
      return PublicKey.parse(text)
    } catch (error) {
      throw new UsageError(`--require-signature: ${error instanceof Error ? error.message : String(error)}`)
    }
  })
  const { priority, compression, readOnly, page } = options
  const files = await openFiles(store, options)
  const bridge = narBridge(store, {
    ...{ priority, compression, readOnly, page, signKeys, requireSignatures, tokens, files },
    onError: ({ method, target }, error) => {
      io.stderr.write(`neve: ${oneLine(`${method} ${target}`)}: ${describe(error, io.debug)}\n`)
    },
  })
  const onAccess = (access: Access): void => io.stderr.write(`${accessLine(access)}\n`)
  return {
    bridge,
    onAccess: options.accessLog === true ? onAccess : undefined,
    async [Symbol.asyncDispose]() {
      await files?.close?.()
    },
  }
}

async function openFiles(
  store: Store,
  { cacheFiles, readOnly }: HttpOptions,
): Promise<ObjectStore | undefined> {
  const { FileObjectStore, openObjectStore } = await import('@neve/castore-services/object-store')
  if (cacheFiles !== undefined) return openObjectStore(cacheFiles)
  if (store.engine !== undefined) return new FileObjectStore({ root: join(store.engine.path, FOLDER) })
  if (readOnly === true) return undefined
  throw new UsageError(
    'this store has no folder for what Nix puts beside store paths: give --cache-files, or --read-only',
  )
}

/** One line, whatever the client sent. */
function accessLine({ client, method, target, status, bytes, milliseconds, whole }: Access): string {
  const time = new Date().toISOString()
  const cut = whole ? '' : ' cut off'
  return oneLine(
    `${time} ${client === '' ? '-' : client} ${method} ${target} ${status} ${bytes} B ${milliseconds.toFixed(1)} ms${cut}`,
  )
}
