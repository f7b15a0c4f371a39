import { escapeBytes, Path } from '@neve/castore-model'
import type { Resolved, Store } from '@neve/store-pathinfo'
import { argumentBytes, hasRawBytes } from './arguments.js'

/** A root, and what follows it. Digests may have slashes of their own, so the forms are told apart. */
const ROOT =
  /^(blake3-[A-Za-z0-9+/]{43}=|b3:[A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64}|\/nix\/store\/[^/]+|[^/]+)(?:\/(.*?)\/?)?$/s

/**
 * Checks that an address can be understood, without a store.
 *
 * @throws StoreError `invalid-address`
 */
export async function checkAddress(address: string): Promise<void> {
  const { parseAddress } = await import('@neve/store-pathinfo')
  parseAddress(address)
}

/**
 * What an address of the command line names. Names in it may be any bytes.
 *
 * @throws StoreError `invalid-address`, `not-found`
 */
export async function resolveAddress(store: Store, address: string): Promise<Resolved> {
  const [, root, rest] = (hasRawBytes(address) && ROOT.exec(address)) || []
  if (root === undefined || rest === undefined) return store.resolve(address)
  const [{ descend }, { StoreError }] = await Promise.all([
    import('@neve/castore-services'),
    import('@neve/store-pathinfo'),
  ])
  const { node, storePath } = await store.resolve(root)
  const path = Path.parse(argumentBytes(rest))
  const found = await descend(store.directories, node, path)
  if (found !== undefined) return { node: found, storePath, path }
  throw new StoreError(
    'not-found',
    `${root}/${escapeBytes(path.bytes)}: there is no such path below the root`,
  )
}
