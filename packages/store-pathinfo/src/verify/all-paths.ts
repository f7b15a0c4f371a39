import { compareBytes } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { PathInfoService } from '../path-info-service.js'
import type { Store } from '../store.js'

/** Path infos that are listed at once. */
const PAGE = 256

/**
 * The digests of all store paths of a store, in their order; those of damaged path infos too where the store can tell them.
 *
 * @throws on iterating: StoreError `unsupported` when the store cannot list
 */
export async function* allPathDigests(
  { engine, pathInfos }: Pick<Store, 'engine' | 'pathInfos'>,
  { after, signal }: CallOptions & { readonly after?: Uint8Array | undefined } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (engine === undefined) {
    for (let last = after; ; ) {
      let found = 0
      for await (const { storePath } of pathInfos.list({ after: last, limit: PAGE, signal })) {
        found++
        last = storePath.digest
        yield last
      }
      if (found < PAGE) return
    }
  }
  for (const [digest] of engine.entries('pathInfos', after)) {
    signal?.throwIfAborted()
    if (after === undefined || compareBytes(digest, after) > 0) yield digest
  }
}

/**
 * Store paths and what they reference, as far as the store can tell: for {@link verifyPaths}, which tells what is missing.
 */
export async function* reachablePaths(
  pathInfos: PathInfoService,
  roots: Iterable<StorePath>,
  { signal }: CallOptions = {},
): AsyncGenerator<StorePath, void, undefined> {
  const source = pathInfos.withoutUse?.() ?? pathInfos
  const found = new Map<string, StorePath>()
  for (const root of roots) found.set(root.toString(), root)
  // A Map keeps its order of insertion, and what is added while it is walked is walked too.
  for (const path of found.values()) {
    yield path
    for (const reference of await referencesOf(source, path, { signal })) {
      const key = reference.toString()
      if (!found.has(key) && (await source.has(reference.digest, { signal }))) found.set(key, reference)
    }
  }
}

async function referencesOf(
  pathInfos: PathInfoService,
  { digest }: StorePath,
  options: CallOptions,
): Promise<readonly StorePath[]> {
  try {
    return (await pathInfos.get(digest, options))?.references ?? []
  } catch (error) {
    if (error instanceof StoreError && error.code === 'data-loss') return []
    throw error
  }
}
