import { B3Digest } from './b3-digest.js'
import { compareBytes, equalBytes } from './bytes.js'
import { DirectoryBuilder } from './directory-builder.js'
import { decodeCanonicalEntries } from './directory-decoder.js'
import { DirectoryError } from './directory-error.js'
import { parseDirectoryMessage, validateDirectoryMessage } from './directory-message.js'
import { type DirectorySizes, directorySize } from './directory-size.js'
import type { DirectoryNode, Node } from './node.js'
import { elementLength, writeElement } from './node-encoding.js'
import type { PathComponent } from './path-component.js'
import { isU64, MAX_U64 } from './u64.js'

/** A name and what stands under it. */
export interface DirectoryEntry {
  readonly name: PathComponent
  readonly node: Node
}

/** A child directory's entry. */
export interface ChildDirectoryEntry {
  readonly name: PathComponent
  readonly node: DirectoryNode
}

/** The default limit of a directory's encoding: over a million entries with common names (spec 01, weakness 13). */
export const MAX_DIRECTORY_BYTES: number = 100 * 1024 * 1024

export interface DirectoryLimits {
  /** Most bytes that the encoding may have. Default: {@link MAX_DIRECTORY_BYTES}. */
  readonly maxBytes?: number
}

function sumChildSizes(entries: readonly DirectoryEntry[]): bigint {
  let sum = 0n
  for (const { node } of entries) if (node.kind === 'directory' && node.size !== 0n) sum += node.size
  return sum
}

function checkLength(actual: number, { maxBytes = MAX_DIRECTORY_BYTES }: DirectoryLimits): void {
  if (actual > maxBytes) throw new DirectoryError('TooLarge', { actual, expected: maxBytes })
}

function hasValidSize({ node }: DirectoryEntry): boolean {
  return node.kind === 'symlink' || isU64(node.size)
}

function encodedLength(entries: readonly DirectoryEntry[]): number {
  let length = 0
  for (const { name, node } of entries) length += elementLength(name.bytes, node)
  return length
}

function compareEntries(a: DirectoryEntry, b: DirectoryEntry): number {
  return compareBytes(a.name.bytes, b.name.bytes)
}

/** Whether names ascend strictly: in order and without duplicates. */
function isSorted(entries: readonly DirectoryEntry[]): boolean {
  for (let i = 1; i < entries.length; i++) {
    if (compareEntries(entries[i - 1]!, entries[i]!) >= 0) return false
  }
  return true
}

let construct: (entries: readonly DirectoryEntry[], childSizes: bigint, encodedBytes: number) => Directory

/**
 * The direct children of one directory: unique names, in bytewise order, each with a node. An immutable value that remembers its
 * encoding and its digest (spec 01 section 6).
 */
export class Directory {
  /** The directory without entries. */
  static readonly EMPTY: Directory = new Directory([], 0n, 0)

  /** The entries of all kinds together, in bytewise order of names. */
  readonly entries: readonly DirectoryEntry[]
  readonly #childSizes: bigint
  readonly #encodedBytes: number
  #encoding: Uint8Array | undefined
  #digest: B3Digest | undefined

  static {
    construct = (entries, childSizes, encodedBytes) => new Directory(entries, childSizes, encodedBytes)
  }

  private constructor(
    entries: readonly DirectoryEntry[],
    childSizes: bigint,
    encodedBytes: number,
    encoding?: Uint8Array,
  ) {
    this.entries = entries
    this.#childSizes = childSizes
    this.#encodedBytes = encodedBytes
    this.#encoding = encoding
  }

  /**
   * A directory of these entries, given in any order. The first that does not fit ends it: `InvalidSizeError` for a node with an
   * impossible size, `DirectoryError` of kind `SizeOverflow`, `DuplicateName` or `TooLarge`.
   */
  static fromEntries(
    entries: Iterable<DirectoryEntry | readonly [PathComponent, Node]>,
    limits: DirectoryLimits = {},
  ): Directory {
    const list: DirectoryEntry[] = []
    for (const entry of entries) list.push('node' in entry ? entry : { name: entry[0], node: entry[1] })
    const sorted = isSorted(list) ? list : list.toSorted(compareEntries)
    if (list.every(hasValidSize) && isSorted(sorted)) {
      const childSizes = sumChildSizes(sorted)
      if (childSizes + BigInt(sorted.length) <= MAX_U64) {
        const encodedBytes = encodedLength(sorted)
        checkLength(encodedBytes, limits)
        return new Directory(sorted, childSizes, encodedBytes)
      }
    }
    // Something does not fit: adding one by one finds the first that does not.
    const builder = new DirectoryBuilder(limits)
    for (const { name, node } of list) builder.add(name, node)
    return builder.build()
  }

  /**
   * Reads a canonical encoding (spec 01 sections 6.4, 6.5 and 8.3). The bytes belong to the directory from now on: they are its
   * remembered encoding, and its names, digests and targets are views into them. Throws `MalformedMessageError`, or
   * `DirectoryError` that tells kind, list and index; `NonCanonical` when {@link decodeMessage} would take the bytes.
   */
  static decode(bytes: Uint8Array, limits: DirectoryLimits = {}): Directory {
    checkLength(bytes.length, limits)
    if (bytes.length === 0) return Directory.EMPTY
    const entries = decodeCanonicalEntries(bytes)
    const childSizes = entries && sumChildSizes(entries)
    if (entries === undefined || childSizes === undefined || childSizes + BigInt(entries.length) > MAX_U64) {
      validateDirectoryMessage(parseDirectoryMessage(bytes))
      throw new DirectoryError('NonCanonical')
    }
    return new Directory(entries, childSizes, bytes.length, bytes)
  }

  /**
   * Reads a message as leniently as the reference does: unknown fields, explicit defaults, any order of fields are taken, and the
   * digest is that of the canonical form, not of these bytes. Everything is copied. Throws as {@link decode}, never `NonCanonical`.
   */
  static decodeMessage(bytes: Uint8Array, limits: DirectoryLimits = {}): Directory {
    checkLength(bytes.length, limits)
    return Directory.fromEntries(validateDirectoryMessage(parseDirectoryMessage(bytes)), limits)
  }

  get entryCount(): number {
    return this.entries.length
  }

  /** The node under a name. */
  get(name: PathComponent | Uint8Array): Node | undefined {
    const wanted = name instanceof Uint8Array ? name : name.bytes
    let low = 0
    let high = this.entries.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const entry = this.entries[middle]!
      const order = compareBytes(entry.name.bytes, wanted)
      if (order === 0) return entry.node
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  /** The entries that are directories, in order of names. */
  *directories(): Generator<ChildDirectoryEntry, void, undefined> {
    for (const entry of this.entries) if (entry.node.kind === 'directory') yield entry as ChildDirectoryEntry
  }

  /**
   * The size by the given rule (default: `once`), from the recorded sizes of child directories. `twice` throws `DirectoryError` of
   * kind `SizeOverflow` where only the once-count fits 64 bits.
   */
  size(rule: DirectorySizes = 'once'): bigint {
    return directorySize(this.entries.length, this.#childSizes, rule)
  }

  /** Bytes of the canonical encoding. */
  get encodedBytes(): number {
    return this.#encodedBytes
  }

  /** The canonical encoding (spec 01 section 6.4), computed once. Do not modify it. */
  encode(): Uint8Array {
    this.#encoding ??= this.#encode()
    return this.#encoding
  }

  #encode(): Uint8Array {
    const out = new Uint8Array(this.#encodedBytes)
    let at = 0
    for (const kind of ['directory', 'file', 'symlink'] as const) {
      for (const { name, node } of this.entries) {
        if (node.kind === kind) at = writeElement(out, at, name.bytes, node)
      }
    }
    return out
  }

  /** The BLAKE3 of the canonical encoding, computed once. */
  digest(): B3Digest {
    this.#digest ??= B3Digest.of(this.encode())
    return this.#digest
  }

  /** The node with which a parent refers to this directory. Throws as {@link size}. */
  toNode(rule: DirectorySizes = 'once'): DirectoryNode {
    return { kind: 'directory', digest: this.digest(), size: this.size(rule) }
  }

  /** Whether both have the same names with equal nodes. */
  equals(other: Directory): boolean {
    return this === other || equalBytes(this.encode(), other.encode())
  }
}

/**
 * Whether `referenced` is a size that a parent may record for `child`: from its once-count to its twice-count, both included (spec
 * 01 section 6.3). Both take the sizes that the child records for its own directories as they are: whichever rule those follow,
 * a parent of any rule adds them up and counts the child's entries once or twice, so nothing legitimate lies outside.
 */
export function sizeAccepted(referenced: bigint, child: Directory): boolean {
  const once = child.size('once')
  return referenced >= once && referenced <= once + BigInt(child.entryCount)
}

/** A directory of entries that are known to be valid, in order and without duplicates. */
export function directoryOfSorted(
  entries: readonly DirectoryEntry[],
  childSizes: bigint,
  encodedBytes: number,
): Directory {
  return construct(entries, childSizes, encodedBytes)
}
