import { createHash } from 'node:crypto'
import { Signature, StorePath } from '@neve/nix-compat'
import {
  type PathInfo,
  type PushClosureOptions,
  type PushedPath,
  pushClosure,
  type Store,
} from '@neve/store-pathinfo'
import { makeRandomTree } from './host-trees.js'

/** A store path that was made from a name alone. */
export function namedPath(name: string): StorePath {
  return new StorePath(createHash('sha256').update(name).digest().subarray(0, 20), name)
}

/** Stores a random tree under a name, with what it references, and a signature that nobody checks. */
export async function addPath(
  store: Store,
  name: string,
  references: readonly PathInfo[] = [],
  { seed = name.charCodeAt(0), entries = 40, self = false } = {},
): Promise<PathInfo> {
  const { node, narSize, narSha256 } = await store.importPath(makeRandomTree(seed, entries), { name })
  const storePath = namedPath(name)
  const paths = [...references.map((info) => info.storePath), ...(self ? [storePath] : [])]
  return store.pathInfos.put({
    storePath,
    node,
    references: paths.sort((a, b) => (a.toString() < b.toString() ? -1 : 1)),
    narSize,
    narSha256,
    signatures: [new Signature(`${name}-1`, new Uint8Array(64).fill(7))],
    deriver: undefined,
    ca: undefined,
  })
}

/** Four paths: `top` references `left` and `right`, which reference `base`, and itself. */
export async function addDiamond(store: Store): Promise<Record<'base' | 'left' | 'right' | 'top', PathInfo>> {
  const base = await addPath(store, 'base')
  const left = await addPath(store, 'left', [base])
  const right = await addPath(store, 'right', [base])
  const top = await addPath(store, 'top', [left, right], { self: true })
  return { base, left, right, top }
}

export async function push(
  from: Store,
  to: Store,
  roots: readonly PathInfo[],
  options: PushClosureOptions = {},
): Promise<PushedPath[]> {
  const pushed: PushedPath[] = []
  const paths = roots.map(({ storePath }) => storePath)
  for await (const one of pushClosure({ from, to }, paths, options)) pushed.push(one)
  return pushed
}
