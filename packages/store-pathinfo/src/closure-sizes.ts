import { type CallOptions, LruMap, mapOrdered } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import type { PathInfo } from './path-info.js'
import type { PathInfoService } from './path-info-service.js'
import { metadataOf } from './push/reference-closure.js'

/** What of a path info is needed to follow references. */
type Link = Pick<PathInfo, 'storePath' | 'references' | 'narSize'>

/** Remembered, and looked up at once. */
const REMEMBERED = 16_384
const LOOKUPS = 32

/** Sums of NAR sizes of closures, as `nix path-info --closure-size` has them. Of what was looked up, some is remembered. */
export class ClosureSizes {
  readonly #pathInfos: Pick<PathInfoService, 'get' | 'metadata'>
  readonly #known = new LruMap<string, Link>(REMEMBERED)

  /** @param pathInfos stay the caller's */
  constructor(pathInfos: Pick<PathInfoService, 'get' | 'metadata'>) {
    this.#pathInfos = pathInfos
  }

  /**
   * The sum for a path and all that it references, in bytes.
   *
   * @throws StoreError `not-found` when one of them is not in the store
   */
  async of(root: Link, options: CallOptions = {}): Promise<bigint> {
    this.#remember(root)
    const seen = new Set([root.storePath.toString()])
    let sum = root.narSize
    for (let level: readonly Link[] = [root]; level.length > 0; ) {
      const wanted: { readonly path: StorePath; readonly by: StorePath }[] = []
      for (const { storePath, references } of level) {
        for (const reference of references) {
          if (seen.has(reference.toString())) continue
          seen.add(reference.toString())
          wanted.push({ path: reference, by: storePath })
        }
      }
      const next: Link[] = []
      const look = (one: (typeof wanted)[number], signal: AbortSignal) =>
        this.#link(one.path, one.by, { signal })
      for await (const link of mapOrdered(wanted, LOOKUPS, look, options)) {
        sum += link.narSize
        next.push(link)
      }
      level = next
    }
    return sum
  }

  async #link(path: StorePath, by: StorePath, options: CallOptions): Promise<Link> {
    const known = this.#known.get(path.toString())
    if (known !== undefined) return known
    const info = await metadataOf(this.#pathInfos, path.digest, options)
    if (info === undefined || !info.storePath.equals(path)) {
      throw new StoreError(
        'not-found',
        `${path.toAbsolute()}, which ${by.toAbsolute()} references, is not in the store`,
      )
    }
    return this.#remember(info)
  }

  #remember({ storePath, references, narSize }: Link): Link {
    const link = { storePath, references, narSize }
    this.#known.set(storePath.toString(), link)
    return link
  }
}
