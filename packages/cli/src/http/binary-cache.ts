import { join } from 'node:path'
import type { AccessTokens } from '@neve/castore-services/grpc/server'
import type { ObjectStore } from '@neve/castore-services/object-store'
import type { HttpHandler } from '@neve/nar-bridge'
import type { Store } from '@neve/store-pathinfo'
import { describe, oneLine, UsageError } from '../messages.js'
import type { Logger } from '../observe/logger.js'
import type { CachePlan } from './cache-plan.js'

/** A binary cache that is ready to be served. */
export interface BinaryCache extends AsyncDisposable {
  readonly handler: HttpHandler
}

/** Inside an embedded store, beside what is its own; caches below prefixes have folders of their own in the second. */
const FOLDER = 'binary-cache'
const FOLDERS = 'binary-caches'
/** The most of a URL that is logged. */
const MAX_SHOWN = 1024

/** What a binary cache is made of. */
export interface BinaryCacheParts {
  /** Stays open when the cache is disposed of. */
  readonly store: Store
  readonly plan: CachePlan
  readonly tokens: AccessTokens | undefined
  readonly log: Logger
}

/**
 * Makes a binary cache of a store, as planned.
 *
 * @throws UsageError for keys that are none, and where uploads could not be remembered; StoreError `invalid-key`
 */
export async function openBinaryCache({ store, plan, tokens, log }: BinaryCacheParts): Promise<BinaryCache> {
  const [{ narBridge }, { readKeyFile }, { PublicKey }] = await Promise.all([
    import('@neve/nar-bridge'),
    import('@neve/store-pathinfo'),
    import('@neve/nix-compat'),
  ])
  const signKeys = await Promise.all((plan.signKey ?? []).map(readKeyFile))
  const requireSignatures = (plan.requireSignature ?? []).map((text) => {
    try {
      return PublicKey.parse(text)
    } catch (error) {
      throw new UsageError(`--require-signature: ${error instanceof Error ? error.message : String(error)}`)
    }
  })
  const { prefix, priority, compression, readOnly, publicRead, page } = plan
  const files = await openFiles(store, plan)
  const handler = narBridge(store, {
    ...{ priority, compression, readOnly, publicRead, page, signKeys, requireSignatures, tokens, files },
    name: prefix,
    onError: ({ method, target }, error) => logFailure(log, method, `${prefix}${target}`, error),
  })
  return {
    handler,
    async [Symbol.asyncDispose]() {
      await files?.close?.()
    },
  }
}

async function openFiles(
  store: Store,
  { prefix, cacheFiles, readOnly }: CachePlan,
): Promise<ObjectStore | undefined> {
  const { FileObjectStore, openObjectStore } = await import('@neve/castore-services/object-store')
  if (cacheFiles !== undefined) return openObjectStore(cacheFiles)
  if (store.engine !== undefined) {
    // No folder of a cache lies in that of another.
    const folder = prefix === '' ? FOLDER : join(FOLDERS, encodeURIComponent(prefix.slice(1)))
    return new FileObjectStore({ root: join(store.engine.path, folder) })
  }
  if (readOnly === true) return undefined
  throw new UsageError(
    'this store has no folder for what Nix puts beside store paths: give --cache-files, or --read-only',
  )
}

/** Tells of a request that failed. */
export function logFailure(log: Logger, method: string, target: string, error: unknown): void {
  log.error({ method, target: shown(target), error: describe(error) }, 'request failed')
}

/** What clients sent is theirs: without what a terminal would obey, and no longer than what means something. */
export function shown(target: string): string {
  return oneLine(target.length > MAX_SHOWN ? `${target.slice(0, MAX_SHOWN)}…` : target)
}
