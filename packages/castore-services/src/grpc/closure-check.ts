import type { B3Digest, Directory } from '@neve/castore-model'
import { CastoreError, DirectoryOrderError, WrongSizeError } from '../errors.js'

/** What is to be remembered of a directory that was seen: not its entries, so that a closure of any size can pass. */
interface Seen {
  readonly once: bigint
  readonly twice: bigint
}

interface Claim {
  readonly entry: string
  readonly digest: B3Digest
  readonly size: bigint
}

function rememberedOf(directory: Directory): Seen {
  const once = directory.size()
  return { once, twice: once + BigInt(directory.entryCount) }
}

function check({ entry, digest, size }: Claim, { once, twice }: Seen): void {
  if (size < once || size > twice) throw new WrongSizeError(entry, digest, size, once)
}

/**
 * Checks an upload as it passes by: children first, sizes right, one root (spec 03 section 4). A closure graph does the
 * same and keeps the directories.
 */
export class LeavesToRootCheck {
  readonly #seen = new Map<string, Seen>()
  readonly #roots = new Map<string, B3Digest>()

  /**
   * Takes a directory.
   *
   * @returns whether it is new
   * @throws DirectoryOrderError, WrongSizeError
   */
  add(directory: Directory): boolean {
    const digest = directory.digest()
    if (this.#seen.has(digest.key)) return false
    const children = [...directory.directories()]
    for (const { name, node } of children) {
      const child = this.#seen.get(node.digest.key)
      if (child === undefined) throw new DirectoryOrderError(digest, node.digest)
      check({ entry: name.toString(), digest: node.digest, size: node.size }, child)
    }
    for (const { node } of children) this.#roots.delete(node.digest.key)
    this.#seen.set(digest.key, rememberedOf(directory))
    this.#roots.set(digest.key, digest)
    return true
  }

  /**
   * The root of what was taken.
   *
   * @throws CastoreError `empty` when nothing was, `disconnected` when there is more than one root
   */
  root(): B3Digest {
    const [root, ...others] = this.#roots.values()
    if (root === undefined) {
      throw new CastoreError('empty', 'got no directories: expected at least one put before close')
    }
    if (others.length === 0) return root
    const shown = [root, ...others].slice(0, 3).join(', ')
    throw new CastoreError(
      'disconnected',
      `graph has disconnected roots: expected one, got ${this.#roots.size} (${shown}${others.length > 2 ? ', …' : ''})`,
    )
  }
}

/** Checks a closure as it is received: the root first, nothing that was not referenced, sizes right, nothing missing. */
export class RootToLeavesCheck {
  readonly #seen = new Map<string, Seen>()
  readonly #claims = new Map<string, Claim[]>()

  constructor(root: B3Digest) {
    this.#claims.set(root.key, [])
  }

  /** How many directories were taken. */
  get size(): number {
    return this.#seen.size
  }

  /** Whether a directory is expected, known, or neither: ask before its bytes are decoded. */
  expects(digest: B3Digest): 'yes' | 'repeated' | 'no' {
    if (this.#claims.has(digest.key)) return 'yes'
    return this.#seen.has(digest.key) ? 'repeated' : 'no'
  }

  /**
   * Takes a directory that is expected.
   *
   * @throws WrongSizeError
   */
  add(directory: Directory): void {
    const { key } = directory.digest()
    const seen = rememberedOf(directory)
    for (const claim of this.#claims.get(key) ?? []) check(claim, seen)
    this.#claims.delete(key)
    this.#seen.set(key, seen)
    for (const { name, node } of directory.directories()) {
      const claim = { entry: name.toString(), digest: node.digest, size: node.size }
      const child = this.#seen.get(node.digest.key)
      if (child !== undefined) check(claim, child)
      else this.#expect(node.digest, claim)
    }
  }

  /** What is still missing: how many, and one of them. */
  missing(): { readonly count: number; readonly digest: B3Digest } | undefined {
    for (const [claim] of this.#claims.values()) {
      if (claim !== undefined) return { count: this.#claims.size, digest: claim.digest }
    }
    return undefined
  }

  #expect(digest: B3Digest, claim: Claim): void {
    const claims = this.#claims.get(digest.key)
    if (claims === undefined) this.#claims.set(digest.key, [claim])
    // Equal claims need one check only.
    else if (!claims.some(({ size }) => size === claim.size)) claims.push(claim)
  }
}
