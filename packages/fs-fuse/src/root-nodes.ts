import { type Directory, type Node, PathComponent } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import type { MaybePromise } from './maybe-promise.js'

/** A name in the root of a mount, and what stands under it. */
export interface RootEntry {
  readonly name: PathComponent
  readonly node: Node
}

/**
 * What stands in the root of a mount (spec 05 section 2). Called for many requests at once; the filesystem never writes
 * through it. Node that was given for a name stays there for as long as the kernel knows it.
 */
export interface RootNodes {
  /**
   * Looks one name up.
   *
   * @returns undefined where there is none; it is asked for again the next time
   * @throws anything: the caller of the filesystem gets EIO, and may try again
   */
  get(name: PathComponent, options?: CallOptions): MaybePromise<Node | undefined>

  /**
   * All names, each once, in the order in which the root lists them.
   *
   * @throws on iterating: the listing ends in EIO after the names that came before
   */
  list(options?: CallOptions): Iterable<RootEntry> | AsyncIterable<RootEntry>

  /**
   * Told that a file below a name is opened. Default: nobody is told.
   *
   * @returns what is called once when the file is closed
   */
  opened?(name: PathComponent): (() => void) | undefined
}

/** Roots that are in memory: names in bytewise order, never failing. */
export class MapRootNodes implements RootNodes {
  readonly #entries: readonly RootEntry[]
  readonly #nodes: ReadonlyMap<string, Node>

  /** @param entries in any order; of several with one name the last */
  constructor(entries: Iterable<RootEntry | readonly [PathComponent | string, Node]>) {
    const byKey = new Map<string, RootEntry>()
    for (const entry of entries) {
      const { name, node } = 'node' in entry ? entry : { name: componentOf(entry[0]), node: entry[1] }
      byKey.set(name.key, { name, node })
    }
    this.#entries = [...byKey.values()].sort((a, b) => PathComponent.compare(a.name, b.name))
    this.#nodes = new Map(this.#entries.map(({ name, node }) => [name.key, node]))
  }

  /** The entries of one directory as the root of a mount. */
  static of(directory: Directory): MapRootNodes {
    return new MapRootNodes(directory.entries)
  }

  get(name: PathComponent): Node | undefined {
    return this.#nodes.get(name.key)
  }

  list(): Iterable<RootEntry> {
    return this.#entries
  }
}

function componentOf(name: PathComponent | string): PathComponent {
  return typeof name === 'string' ? PathComponent.from(name) : name
}
