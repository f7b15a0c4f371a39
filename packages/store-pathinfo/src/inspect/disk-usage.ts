import type { Node } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { listRoots, rootTargets } from '../gc/roots.js'
import { decodeStored } from '../path-info/stored.js'
import type { PathInfo } from '../path-info.js'
import { Visited, walkContent } from './content-walk.js'

/** Bytes of different content. */
export interface ContentSize {
  readonly bytes: bigint
  /** What it takes in the store, compressed. */
  readonly storedBytes: bigint
}

/** What one store path, directory or blob takes. */
export interface DiskUsage {
  readonly target: UsageTarget
  /** Its content, each piece once. */
  readonly own: ContentSize
  /** With that of all that it references; of what is no store path, the same as `own`. */
  readonly closure: ContentSize
  /** Store paths in the closure. */
  readonly closurePaths: number
  /** Of `own`, what no other store path needs, nor a digest that is a root: it goes if this one goes. */
  readonly unique: ContentSize
}

/** A store path, or a directory or blob. */
export type UsageTarget = StorePath | Node

class Sum {
  bytes = 0
  storedBytes = 0

  add(engine: EmbeddedStore, key: Uint8Array): void {
    const location = engine.locate(key)
    this.bytes += location?.rawLength ?? 0
    this.storedBytes += location?.storedLength ?? 0
  }

  get size(): ContentSize {
    return { bytes: BigInt(this.bytes), storedBytes: BigInt(this.storedBytes) }
  }
}

/**
 * How much store paths and digests take in an embedded store, by its tables alone. What is unique to each of them takes a walk
 * through the whole store, one for all.
 *
 * Memory: some 40 bytes for each directory, blob and chunk of the store.
 *
 * @throws StoreError `not-found` when one, or a reference of one, is not in the store; `data-loss`; the signal's reason
 */
export async function diskUsage(
  engine: EmbeddedStore,
  targets: readonly UsageTarget[],
  options: CallOptions = {},
): Promise<DiskUsage[]> {
  const paths = new Set(targets.filter(isPath).map(({ digest }) => hex(digest)))
  const others = await reachedByOthers(engine, paths, options)
  const { met, metTwice } = await metByTargets(engine, targets, others, options)
  const usages: DiskUsage[] = []
  for (const target of targets) {
    const unique = new Sum()
    const own = new Sum()
    await walkContent(
      engine,
      nodeOf(engine, target),
      new Visited(),
      (key) => {
        own.add(engine, key)
        if (met.has(key) && !metTwice.has(key)) unique.add(engine, key)
      },
      options,
    )
    const closure = isPath(target) ? await closureSize(engine, target, options) : { sum: own, paths: 0 }
    usages.push({
      target,
      own: own.size,
      closure: closure.sum.size,
      closurePaths: closure.paths,
      unique: unique.size,
    })
  }
  return usages
}

async function closureSize(engine: EmbeddedStore, root: StorePath, options: CallOptions) {
  const visited = new Visited()
  const sum = new Sum()
  const found = new Map([[root.toString(), root]])
  // A Map keeps its order of insertion, and what is added while it is walked is walked too.
  for (const path of found.values()) {
    const info = infoOf(engine, path)
    for (const reference of info.references) found.set(reference.toString(), reference)
    await walkContent(engine, info.node, visited, (key) => sum.add(engine, key), options)
  }
  return { sum, paths: found.size }
}

/** All that store paths but these, and digests that are roots, lead to. */
async function reachedByOthers(
  engine: EmbeddedStore,
  paths: ReadonlySet<string>,
  options: CallOptions,
): Promise<Visited> {
  const visited = new Visited()
  for (const [digest, bytes] of engine.entries('pathInfos')) {
    if (paths.has(hex(digest))) continue
    const { node } = decodeStored(`embedded:${engine.path}`, digest, bytes)
    await walkContent(engine, node, visited, () => {}, options)
  }
  const { digests } = await rootTargets(listRoots(engine).filter((root) => 'target' in root))
  for (const digest of digests) {
    for (const kind of ['directory', 'file'] as const) {
      await walkContent(engine, { kind, digest, size: 0n, executable: false }, visited, () => {}, options)
    }
  }
  return visited
}

/** Of what nobody else needs, what the targets need, and what several of them need. */
async function metByTargets(
  engine: EmbeddedStore,
  targets: readonly UsageTarget[],
  others: Visited,
  options: CallOptions,
) {
  const [met, metTwice] = [new DigestSet(), new DigestSet()]
  for (const target of targets) {
    await walkContent(
      engine,
      nodeOf(engine, target),
      new Visited(),
      (key) => {
        // A digest is no store path: what it leads to may be needed by the store path that has it.
        if (!others.content.has(key) && !met.add(key)) metTwice.add(key)
      },
      options,
    )
  }
  return { met, metTwice }
}

function nodeOf(engine: EmbeddedStore, target: UsageTarget): Node {
  return isPath(target) ? infoOf(engine, target).node : target
}

function infoOf(engine: EmbeddedStore, path: StorePath): PathInfo {
  const bytes = engine.get('pathInfos', path.digest)
  const info = bytes && decodeStored(`embedded:${engine.path}`, path.digest, bytes)
  if (info?.storePath.equals(path)) return info
  throw new StoreError('not-found', `${path.toAbsolute()} is not in the store`)
}

function isPath(target: UsageTarget): target is StorePath {
  return !('kind' in target)
}

function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
