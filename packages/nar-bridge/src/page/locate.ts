import { type Directory, type Node, PathComponent, PathComponentError } from '@neve/castore-model'
import { DataLossError } from '@neve/castore-services'
import { STORE_DIR, StorePath, StorePathError } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'

/** As many links as Linux follows before it takes them for a loop. */
const MAX_LINKS = 40

/** Something in the store. */
export interface Located {
  /** Of the store path that it is, or lies in. */
  readonly info: PathInfo
  /** Below the store's folder: the base name of the store path, then names within it. */
  readonly names: readonly PathComponent[]
  readonly node: Node
  /** Whether links were followed, so that it is elsewhere than where it was looked for. */
  readonly moved: boolean
}

type Places = Pick<BridgeStore, 'pathInfos' | 'directories'>
/** `here` asks for a directory, as a slash at the end does. */
type Step = PathComponent | 'up' | 'here'
interface Place {
  readonly name: PathComponent
  readonly node: Node
}

/**
 * Finds what stands under names below the store's folder, as the kernel would in a mounted one: links on the way are
 * followed as long as they stay in the store.
 *
 * @param wanted not empty; a store path's base name first
 * @param follow whether a link at the end is followed too
 * @returns undefined when there is no such thing, or when links lead out of the store or in a circle
 * @throws DataLossError when a directory is missing; errors of the services
 */
export async function locate(
  store: Places,
  wanted: readonly PathComponent[],
  { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
): Promise<Located | undefined> {
  const places: Place[] = []
  let info: PathInfo | undefined
  let links = 0
  for (const steps: Step[] = wanted.toReversed(); ; ) {
    const step = steps.pop()
    if (step === undefined) break
    if (step === 'up') {
      // Above the store there is nothing to see.
      if (places.pop()?.node.kind !== 'directory') return undefined
      continue
    }
    const parent = places.at(-1)
    if (step === 'here') {
      if (parent !== undefined && parent.node.kind !== 'directory') return undefined
      continue
    }
    let node: Node | undefined
    if (parent === undefined) {
      info = await rootInfo(store, step, signal)
      node = info?.node
    } else if (parent.node.kind === 'directory') {
      node = (await directoryOf(store, parent.node, signal)).get(step)
    }
    if (node === undefined) return undefined
    if (node.kind === 'symlink' && (follow || steps.length > 0)) {
      const target = stepsOf(node.target.bytes)
      if (target === undefined || ++links > MAX_LINKS) return undefined
      if (target.isAbsolute) places.length = 0
      steps.push(...target.steps.toReversed())
      continue
    }
    places.push({ name: step, node })
  }
  const last = places.at(-1)
  if (last === undefined || info === undefined) return undefined
  return { info, names: places.map(({ name }) => name), node: last.node, moved: links > 0 }
}

/**
 * Whether a link's target is a place in the store, as far as that can be told without looking.
 *
 * @param depth how many names lead to the folder that the link is in, the store path's among them
 */
export function staysInside(target: Uint8Array, depth: number): boolean {
  const parsed = stepsOf(target)
  if (parsed === undefined) return false
  let at = parsed.isAbsolute ? 0 : depth
  for (const step of parsed.steps) {
    if (step !== 'here') at += step === 'up' ? -1 : 1
    if (at < 0) return false
  }
  return at > 0
}

/** @throws DataLossError when it is not in the store */
export async function directoryOf(
  { directories }: Pick<Places, 'directories'>,
  { digest }: Extract<Node, { kind: 'directory' }>,
  signal: AbortSignal,
): Promise<Directory> {
  const directory = await directories.get(digest, { signal })
  if (directory !== undefined) return directory
  throw new DataLossError(digest, 'this store', `directory ${digest} does not exist`)
}

/** The store path with this base name. */
async function rootInfo(
  { pathInfos }: Places,
  { bytes }: PathComponent,
  signal: AbortSignal,
): Promise<PathInfo | undefined> {
  try {
    const storePath = StorePath.parse(bytes)
    const info = await pathInfos.get(storePath.digest, { signal })
    return info?.storePath.equals(storePath) ? info : undefined
  } catch (error) {
    if (error instanceof StorePathError) return undefined
    throw error
  }
}

/** What a target says to do; undefined where it leads out of the store, or to what no directory can have. */
function stepsOf(target: Uint8Array): { readonly isAbsolute: boolean; readonly steps: Step[] } | undefined {
  let text = Buffer.from(target).toString('latin1')
  const isAbsolute = text.startsWith('/')
  if (isAbsolute) {
    const store = `${STORE_DIR}/`
    text = text.replace(/\/+/g, '/')
    if (!text.startsWith(store)) return undefined
    text = text.slice(store.length)
  }
  const steps: Step[] = []
  for (const part of text.split('/')) {
    if (part === '' || part === '.' || part === '..') {
      steps.push(part === '..' ? 'up' : 'here')
      continue
    }
    try {
      steps.push(PathComponent.adopt(Buffer.from(part, 'latin1')))
    } catch (error) {
      if (error instanceof PathComponentError) return undefined
      throw error
    }
  }
  return { isAbsolute, steps }
}
