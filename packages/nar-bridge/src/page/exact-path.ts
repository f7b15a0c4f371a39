import { STORE_DIR } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import { digestOf } from './page-request.js'

/** The path info that a text names as a store path, something within one, its base name, or its whole hash. */
export async function exactPath(
  store: Pick<BridgeStore, 'pathInfos'>,
  search: string,
  signal: AbortSignal,
): Promise<PathInfo | undefined> {
  const text = search.startsWith(`${STORE_DIR}/`) ? search.slice(STORE_DIR.length + 1).split('/')[0]! : search
  const digest = digestOf(text.slice(0, 32))
  if (digest === undefined || (text.length > 32 && text[32] !== '-')) return undefined
  const info = await store.pathInfos.get(digest, { signal })
  return text.length === 32 || info?.storePath.toString() === text ? info : undefined
}
