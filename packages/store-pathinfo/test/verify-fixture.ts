import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { B3Digest, FileNode } from '@neve/castore-model'
import { descend } from '@neve/castore-services'
import {
  allPathDigests,
  type Damage,
  type LocalStore,
  type PathInfo,
  type Store,
  type VerifyPathsOptions,
  verifyPaths,
} from '@neve/store-pathinfo'
import { makeComplicated, noise } from './host-trees.js'
import { addPath, push } from './push-fixture.js'
import { temporaryFolder } from './support.js'

/** A tree with a small file, a large one in chunks, and folders. */
function sampleTree(): string {
  const tree = join(temporaryFolder(), 'sample')
  makeComplicated(tree)
  writeFileSync(join(tree, 'keep', 'small'), noise(3000, 7))
  writeFileSync(join(tree, 'large'), noise(2_000_000, 8))
  return tree
}

/** Everything that is wrong in a store, in short: `name/path kind digest`, with `!` when it was mended. */
export async function faultsOf(store: Store, options: VerifyPathsOptions = {}): Promise<string[]> {
  const faults: string[] = []
  for await (const { damages } of verifyPaths(store, allPathDigests(store), options)) {
    faults.push(...damages.map(shortly))
  }
  return faults.sort()
}

function shortly({ storePath, path, kind, digest, repaired }: Damage): string {
  const below = path.length === 0 ? '' : `/${Buffer.from(path)}`
  const what = digest === undefined ? kind : `${kind} ${digest.toHex()}`
  return `${storePath?.name ?? '?'}${below} ${what}${repaired ? '!' : ''}`
}

/** A sound store, and what is in it. */
export interface Sample {
  readonly store: LocalStore
  readonly info: PathInfo
  readonly other: PathInfo
  readonly root: B3Digest
  readonly keep: B3Digest
  readonly small: FileNode
  readonly large: FileNode
  readonly chunks: readonly B3Digest[]
}

/** Fills a store with two paths, of which `sample` is to be damaged; `other` is what must stay as it is. */
export async function fillSample(store: LocalStore): Promise<Sample> {
  const { pathInfo: info } = await store.importPath(sampleTree())
  const other = await addPath(store, 'other', [info])
  const node = async (path: string) => {
    const found = await descend(store.directories, info.node, path)
    if (found === undefined || found.kind === 'symlink') throw new Error(`there is no ${path}`)
    return found
  }
  const large = (await node('large')) as FileNode
  return {
    store,
    info,
    other,
    root: (await node('')).digest,
    keep: (await node('keep')).digest,
    small: (await node('keep/small')) as FileNode,
    large,
    chunks: ((await store.blobs.chunks(large.digest)) ?? []).map(({ digest }) => digest),
  }
}

/** A copy of all of a sample somewhere else. */
export async function copied({ store, info, other }: Sample, to: Store): Promise<void> {
  await push(store, to, [info, other])
}
