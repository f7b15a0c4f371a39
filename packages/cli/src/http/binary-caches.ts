import type { AccessTokens } from '@neve/castore-services/grpc/server'
import { prefixed } from '@neve/nar-bridge'
import type { Store } from '@neve/store-pathinfo'
import type { ProtocolParts } from '../daemon/grpc-protocol.js'
import { describe } from '../messages.js'
import { observedStore, type StoreBackends, storeBackends } from '../observe/observed-server.js'
import { type BinaryCache, openBinaryCache } from './binary-cache.js'
import type { CachePlan } from './cache-plan.js'

/** The binary caches of a process, ready to be served. */
export interface BinaryCaches extends BinaryCache {
  /** Of all stores; those of a store of a cache's own have its prefix in their names. */
  readonly backends: StoreBackends
  /** Reads tokens again. */
  reload(): Promise<void>
}

/**
 * Opens what each of the caches has of its own, and puts them on one address.
 *
 * @throws UsageError, StoreError and CastoreError for what of them cannot be had
 */
export async function openBinaryCaches(
  parts: ProtocolParts,
  plans: readonly CachePlan[],
): Promise<BinaryCaches> {
  const stores = new Stores(parts, plans)
  const tokens = new TokenFiles(parts)
  const caches: BinaryCache[] = []
  const close = async () => {
    for (const cache of caches.splice(0)) await cache[Symbol.asyncDispose]()
    await stores.close()
  }
  try {
    for (const plan of plans) {
      const store = await stores.of(plan)
      caches.push(await openBinaryCache({ store, plan, tokens: await tokens.of(plan), log: parts.log }))
    }
  } catch (error) {
    await close()
    throw error
  }
  const handlers = plans.map(({ prefix }, i) => ({ prefix, handler: caches[i]!.handler }))
  const [first] = handlers
  const handler = handlers.length === 1 && first?.prefix === '' ? first.handler : prefixed(handlers)
  return {
    handler,
    backends: stores.backends,
    reload: () => tokens.reload(),
    [Symbol.asyncDispose]: close,
  }
}

/** Stores, each opened once however many caches have it. */
class Stores {
  readonly #parts: ProtocolParts
  readonly #plans: readonly CachePlan[]
  readonly #opened: Store[] = []
  readonly #known = new Map<string, Store>()
  backends: StoreBackends

  constructor(parts: ProtocolParts, plans: readonly CachePlan[]) {
    this.#parts = parts
    this.#plans = plans
    this.backends = parts.backends
  }

  async of({ prefix, store: address }: CachePlan): Promise<Store> {
    const { store, options, log, lease, onOperation } = this.#parts
    if (address === undefined || address === options.store) return store
    const known = this.#known.get(address)
    if (known !== undefined) return known
    const readOnly = this.#plans.every((plan) => plan.store !== address || plan.readOnly === true)
    const { openStore } = await import('@neve/store-pathinfo')
    const own = await openStore(address, { readOnly })
    this.#opened.push(own)
    lease.add(own)
    const observed = observedStore(own, onOperation)
    this.#known.set(address, observed)
    const backends = Object.entries(storeBackends(observed, log)).map(
      ([name, backend]) => [`${prefix} ${name}`, backend] as const,
    )
    this.backends = { ...this.backends, ...Object.fromEntries(backends) }
    return observed
  }

  async close(): Promise<void> {
    for (const store of this.#known.values()) await store.close()
    for (const store of this.#opened) await store.close()
  }
}

/** Files of tokens, each read once however many caches have it. */
class TokenFiles {
  readonly #parts: ProtocolParts
  readonly #known = new Map<string, AccessTokens>()

  constructor(parts: ProtocolParts) {
    this.#parts = parts
  }

  async of({ tokenFile }: CachePlan): Promise<AccessTokens | undefined> {
    const { options, tokens, log } = this.#parts
    if (tokenFile === undefined) return undefined
    if (tokenFile === options.tokenFile) return tokens
    const { AccessTokens } = await import('@neve/castore-services/grpc/server')
    const onError = (error: unknown): void => log.error(describe(error))
    const known = this.#known.get(tokenFile) ?? (await AccessTokens.fromFile(tokenFile, { onError }))
    this.#known.set(tokenFile, known)
    return known
  }

  async reload(): Promise<void> {
    await Promise.all([...this.#known.values()].map((tokens) => tokens.reload()))
  }
}
