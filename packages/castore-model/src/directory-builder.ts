import { compareBytes } from './bytes.js'
import {
  type Directory,
  type DirectoryEntry,
  type DirectoryLimits,
  directoryOfSorted,
  MAX_DIRECTORY_BYTES,
} from './directory.js'
import { DirectoryError } from './directory-error.js'
import type { Node } from './node.js'
import { elementLength } from './node-encoding.js'
import type { PathComponent } from './path-component.js'
import { checkU64, MAX_U64 } from './u64.js'

/** Collects entries in any order for a {@link Directory}; checks each as it comes, against a running total. */
export class DirectoryBuilder {
  readonly #maxBytes: number
  readonly #byName = new Map<string, DirectoryEntry>()
  #childSizes = 0n
  #encodedBytes = 0
  #sorted = true
  #last: PathComponent | undefined

  constructor(limits: DirectoryLimits = {}) {
    this.#maxBytes = limits.maxBytes ?? MAX_DIRECTORY_BYTES
  }

  /**
   * Adds an entry, or throws and stays as it was, checking in this order: `InvalidSizeError`, `DirectoryError` of kind
   * `SizeOverflow` (once-count over 2^64−1), `DuplicateName`, `TooLarge` (spec 01 section 6.2).
   */
  add(name: PathComponent, node: Node): this {
    let childSizes = this.#childSizes
    if (node.kind !== 'symlink') checkU64(node.size)
    if (node.kind === 'directory' && node.size !== 0n) childSizes += node.size
    // The count alone cannot overflow; most directories have no child size at all and skip this.
    if (childSizes !== 0n && childSizes + BigInt(this.#byName.size + 1) > MAX_U64) {
      throw new DirectoryError('SizeOverflow', { entryName: name.bytes })
    }
    if (this.#byName.has(name.key)) throw new DirectoryError('DuplicateName', { entryName: name.bytes })
    const encodedBytes = this.#encodedBytes + elementLength(name.bytes, node)
    if (encodedBytes > this.#maxBytes) {
      throw new DirectoryError('TooLarge', {
        entryName: name.bytes,
        actual: encodedBytes,
        expected: this.#maxBytes,
      })
    }
    this.#childSizes = childSizes
    this.#encodedBytes = encodedBytes
    this.#sorted &&= this.#last === undefined || compareBytes(this.#last.bytes, name.bytes) < 0
    this.#last = name
    this.#byName.set(name.key, { name, node })
    return this
  }

  has(name: PathComponent): boolean {
    return this.#byName.has(name.key)
  }

  get entryCount(): number {
    return this.#byName.size
  }

  /** The directory of what was added so far; the builder can go on. */
  build(): Directory {
    const entries = [...this.#byName.values()]
    if (!this.#sorted) entries.sort((a, b) => compareBytes(a.name.bytes, b.name.bytes))
    return directoryOfSorted(entries, this.#childSizes, this.#encodedBytes)
  }
}
