import type { B3Digest } from '@neve/castore-model'
import type { Closure } from './closure-object.js'

/** What a directory takes beside its encoding, in bytes: entries, names and nodes as objects. Measured, roughly. */
const OVERHEAD = 512

/** Keeps the closures used last, so many bytes of them. */
export class ClosureCache {
  readonly #closures = new Map<string, Closure>()
  readonly #capacity: number
  #weight = 0

  /** @param capacity in bytes; nothing is kept at 0, else at least the closure used last */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** The closure of this root. */
  get(root: B3Digest): Closure | undefined {
    const closure = this.#closures.get(root.key)
    if (closure !== undefined) {
      this.#closures.delete(root.key)
      this.#closures.set(root.key, closure)
    }
    return closure
  }

  /** A closure that has this directory, somewhere in it. */
  having(digest: B3Digest): Closure | undefined {
    // Those used last come last, and are few: lookups follow a walk.
    for (const closure of [...this.#closures.values()].reverse()) {
      if (closure.directories.has(digest.key)) return this.get(closure.root)
    }
    return undefined
  }

  set(closure: Closure): void {
    if (this.#capacity === 0) return
    this.delete(closure.root)
    this.#closures.set(closure.root.key, closure)
    this.#weight += weightOf(closure)
    for (const oldest of this.#closures.values()) {
      if (this.#weight <= this.#capacity || this.#closures.size === 1) return
      this.delete(oldest.root)
    }
  }

  delete(root: B3Digest): void {
    const closure = this.#closures.get(root.key)
    if (closure === undefined) return
    this.#closures.delete(root.key)
    this.#weight -= weightOf(closure)
  }

  clear(): void {
    this.#closures.clear()
    this.#weight = 0
  }
}

function weightOf({ bytes, directories }: Pick<Closure, 'bytes' | 'directories'>): number {
  return weightOfDirectories(bytes, directories.size)
}

/** How much memory so many directories take, roughly, whose encodings have so many bytes together. */
export function weightOfDirectories(bytes: number, count: number): number {
  return 3 * bytes + OVERHEAD * count
}
