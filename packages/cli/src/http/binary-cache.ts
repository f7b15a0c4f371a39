import { join } from 'node:path'
import type { ObjectStore } from '@neve/castore-services/object-store'
import type { NarBridge, TokenSource } from '@neve/nar-bridge'
import type { Access } from '@neve/nar-bridge/server'
import type { Store } from '@neve/store-pathinfo'
import { describe, oneLine, UsageError } from '../messages.js'
import type { Logger } from '../observe/logger.js'
import type { HttpOptions } from './options.js'

/** A binary cache that is ready to be served. */
export interface BinaryCache extends AsyncDisposable {
  readonly bridge: NarBridge
  /** Told of every request, where the user wants to hear of it. */
  readonly onAccess: ((access: Access) => void) | undefined
}

/** Inside an embedded store, beside what is its own. */
const FOLDER = 'binary-cache'
/** The most of a URL that is logged. */
const MAX_SHOWN = 1024

/** What a binary cache is made of. */
export interface BinaryCacheParts {
  /** Stays open when the cache is disposed of. */
  readonly store: Store
  readonly options: HttpOptions
  readonly tokens: TokenSource | undefined
  readonly log: Logger
}

/**
 * Makes a binary cache of a store, as the options say.
 *
 * @throws UsageError for keys that are none, and where uploads could not be remembered; StoreError `invalid-key`
 */
export async function openBinaryCache({
  store,
  options,
  tokens,
  log,
}: BinaryCacheParts): Promise<BinaryCache> {
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
      log.error({ method, target: shown(target), error: describe(error) }, 'request failed')
    },
  })
  const onAccess = (access: Access): void => logAccess(log, access)
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

function logAccess(log: Logger, access: Access): void {
  const { client, method, target, status, bytes, milliseconds, whole } = access
  const ms = Math.round(milliseconds * 10) / 10
  const cut = whole ? {} : { cut: true }
  log.info({ client, method, target: shown(target), status, bytes, ms, ...cut }, 'request')
}

/** What clients sent is theirs: without what a terminal would obey, and no longer than what means something. */
function shown(target: string): string {
  return oneLine(target.length > MAX_SHOWN ? `${target.slice(0, MAX_SHOWN)}…` : target)
}
