import type { CallOptions } from '@neve/castore-services'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { listRoots, type Root, rootTargets } from '../gc/roots.js'
import { decodeStored } from '../path-info/stored.js'

/** A root that keeps a store path. */
export interface KeepingRoot {
  readonly root: Root
  /** From what the root leads to down to the store path: the fewest steps, each references the next. */
  readonly chain: readonly StorePath[]
}

/** Why a store path stays. */
export interface KeptBy {
  /** By name. Without any, it goes with the next collection of garbage, unless it was used lately. */
  readonly roots: readonly KeepingRoot[]
  /** Store paths that reference it, other than itself, whether a root keeps them or not. */
  readonly referrers: readonly StorePath[]
  /** When it was stored or used, in milliseconds since 1970, as far as that is known. */
  readonly lastUsed: number | undefined
}

const DIGEST = 20
const A_TURN = 1024
const NOT_REACHED = -2
const TARGET = -1

/**
 * Finds out what keeps a store path in an embedded store.
 *
 * Memory: some 30 bytes for each store path of the store, and 12 for each reference.
 *
 * @throws StoreError `not-found`; `data-loss` for a path info that cannot be read; the signal's reason
 */
export async function keptBy(
  engine: EmbeddedStore,
  path: StorePath,
  { signal }: CallOptions = {},
): Promise<KeptBy> {
  const graph = new ReferenceGraph(engine)
  const target = graph.indexOf(path.digest)
  if (target === undefined || !graph.pathAt(target).equals(path)) {
    throw new StoreError('not-found', `${path.toAbsolute()} is not in the store`)
  }
  await graph.read(signal)
  const towards = graph.stepsTo(target)
  const roots: KeepingRoot[] = []
  for (const root of listRoots(engine)) {
    const { paths } = await rootTargets([root])
    const chains = paths.flatMap((digest) => chainFrom(graph, towards, graph.indexOf(digest)) ?? [])
    const shortest = chains.reduce<number[] | undefined>(
      (best, next) => (best === undefined || next.length < best.length ? next : best),
      undefined,
    )
    if (shortest !== undefined) roots.push({ root, chain: shortest.map((index) => graph.pathAt(index)) })
  }
  const referrers = graph.referrers(target).filter((index) => index !== target)
  return {
    roots,
    referrers: referrers.map((index) => graph.pathAt(index)),
    lastUsed: engine.uses.last(path.digest),
  }
}

function chainFrom(
  { count }: ReferenceGraph,
  towards: Int32Array,
  from: number | undefined,
): [number[]] | undefined {
  if (from === undefined || towards[from] === NOT_REACHED) return undefined
  const chain = [from]
  for (let at = towards[from]!; at !== TARGET && chain.length <= count; at = towards[at]!) chain.push(at)
  return [chain]
}

/** Who references whom, by numbers: store paths in the order of their digests. */
class ReferenceGraph {
  readonly #engine: EmbeddedStore
  readonly #digests: Buffer
  readonly count: number
  /** The last edge that leads to each store path, and of each edge the one before it, and where it comes from. */
  readonly #last: Int32Array
  #before = new Int32Array(1024)
  #from = new Int32Array(1024)
  #edges = 0

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    const digests: Uint8Array[] = []
    for (const digest of engine.keys('pathInfos')) digests.push(digest)
    this.#digests = Buffer.concat(digests)
    this.count = digests.length
    this.#last = new Int32Array(this.count).fill(-1)
  }

  indexOf(digest: Uint8Array): number | undefined {
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = Buffer.compare(this.#digestAt(middle), digest)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  pathAt(index: number): StorePath {
    const digest = this.#digestAt(index)
    const bytes = this.#engine.get('pathInfos', digest)
    const name = `embedded:${this.#engine.path}`
    if (bytes !== undefined) return decodeStored(name, digest, bytes).storePath
    throw new StoreError('not-found', `${digest.toString('hex')} was removed from the store meanwhile`)
  }

  async read(signal: AbortSignal | undefined): Promise<void> {
    const backend = `embedded:${this.#engine.path}`
    let read = 0
    for (const [digest, bytes] of this.#engine.entries('pathInfos')) {
      const from = this.indexOf(digest)
      // It was stored a moment ago.
      if (from === undefined) continue
      for (const reference of decodeStored(backend, digest, bytes).references) {
        const to = this.indexOf(reference.digest)
        if (to !== undefined) this.#add(from, to)
      }
      if (++read % A_TURN > 0) continue
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
  }

  referrers(to: number): number[] {
    const found: number[] = []
    for (let edge = this.#last[to]!; edge >= 0; edge = this.#before[edge]!) found.push(this.#from[edge]!)
    return found.reverse()
  }

  /** For each store path that leads to the target, the next on the shortest way. */
  stepsTo(target: number): Int32Array {
    const steps = new Int32Array(this.count).fill(NOT_REACHED)
    const queue = new Int32Array(this.count)
    steps[target] = TARGET
    queue[0] = target
    for (let [next, end] = [0, 1]; next < end; next++) {
      for (const from of this.referrers(queue[next]!)) {
        if (steps[from] !== NOT_REACHED) continue
        steps[from] = queue[next]!
        queue[end++] = from
      }
    }
    return steps
  }

  #digestAt(index: number): Buffer {
    return this.#digests.subarray(index * DIGEST, (index + 1) * DIGEST)
  }

  #add(from: number, to: number): void {
    if (this.#edges === this.#from.length) {
      this.#from = doubled(this.#from)
      this.#before = doubled(this.#before)
    }
    this.#from[this.#edges] = from
    this.#before[this.#edges] = this.#last[to]!
    this.#last[to] = this.#edges++
  }
}

function doubled(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * numbers.length)
  larger.set(numbers)
  return larger
}
