import type { B3Digest, Directory } from '@neve/castore-model'

/**
 * Whether a directory may come now, when a closure is received root first: only if one that came before references
 * it (spec 03 section 3). Repeats are allowed; whether everything came is not its matter.
 */
export class RootToLeaves {
  readonly #expected = new Set<string>()

  /** @param root the digest that has to come first. Default: any directory may come first */
  constructor(root?: B3Digest) {
    if (root !== undefined) this.#expected.add(root.key)
  }

  /** Whether the directory of this digest may come now: ask before decoding bytes of a stranger. */
  digestAllowed(digest: B3Digest): boolean {
    return this.#expected.size === 0 || this.#expected.has(digest.key)
  }

  /** Takes a directory. False, and nothing changes, when it may not come now. */
  add(directory: Directory): boolean {
    if (!this.digestAllowed(directory.digest())) return false
    this.addUnchecked(directory)
    return true
  }

  /** Takes a directory that was checked with {@link digestAllowed}. */
  addUnchecked(directory: Directory): void {
    if (this.#expected.size === 0) this.#expected.add(directory.digest().key)
    for (const { node } of directory.directories()) this.#expected.add(node.digest.key)
  }
}

/**
 * Whether a directory may come now, when a closure is uploaded leaves first: only if everything it references came
 * before (spec 03 section 3). Repeats are allowed; whether the closure is connected is not its matter.
 */
export class LeavesToRoot {
  readonly #known = new Set<string>()

  /** The first child that did not come before; undefined when all did. */
  missing(directory: Directory): B3Digest | undefined {
    for (const { node } of directory.directories()) if (!this.#known.has(node.digest.key)) return node.digest
    return undefined
  }

  /** Takes a directory. False, and nothing changes, when it may not come now. */
  add(directory: Directory): boolean {
    if (this.missing(directory) !== undefined) return false
    this.#known.add(directory.digest().key)
    return true
  }
}
