import {
  type B3Digest,
  compareBytes,
  type Directory,
  type DirectoryEntry,
  type Node,
} from '@neve/castore-model'
import { type CallOptions, DataLossError, mapOrdered } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import type { Store } from '../store.js'
import { BlobList } from './blob-list.js'

/**
 * What is different at one place:
 * - `added`, `removed`: only one of the trees has something there; a directory stands for all that is in it
 * - `changed`: a file with other content, or a symlink with another target
 * - `type-changed`: a file, directory or symlink in one of them is something else in the other
 * - `executable`: a file with the same content that only one of them calls executable
 */
export type DifferenceKind = 'added' | 'removed' | 'changed' | 'type-changed' | 'executable'

/** One place where two trees differ. */
export interface TreeDifference {
  readonly kind: DifferenceKind
  /** Names below the root, joined by slashes; empty for the root. They are any bytes. */
  readonly path: Uint8Array
  /** Undefined where it was added. */
  readonly before: Node | undefined
  /** Undefined where it was removed. */
  readonly after: Node | undefined
}

/** Sums of a comparison. Bytes are those of different blobs: what a tree has twice counts once. */
export interface DiffTotals {
  /** How many directories were read. */
  readonly directoriesRead: number
  /** Bytes of files of the first tree that the second has not at the same place. */
  readonly removedBytes: bigint
  /** Bytes of files of the second tree that the first has not at the same place. */
  readonly addedBytes: bigint
  /** Of `addedBytes`, those that are among what was removed: in files that moved, or in chunks of files that changed. */
  readonly reusedBytes: bigint
  /** Bytes of files that both have at the same place; undefined unless {@link DiffTreesOptions.shared} asks for them. */
  readonly sharedBytes: bigint | undefined
}

/** Options of {@link TreeDiff}. */
export interface DiffTreesOptions extends CallOptions {
  /** Sum up what both have in common, too: then what is equal is read as well. Default: false. */
  readonly shared?: boolean | undefined
}

/** No blob that is shorter is ever cut into chunks, in bytes. */
const SHORTEST_CUT = 64 * 1024
const LOOKUPS = 32
const SLASH = Buffer.from('/')

/**
 * Compares two trees by the digests of their directories: where these are equal nothing below is looked at. Only directories
 * that differ are read, and those that only one of the trees has, for the sums.
 *
 * Memory: some 80 bytes for each blob that is not at the same place in both, and the directories down to where it stands.
 */
export class TreeDiff {
  readonly #store: Pick<Store, 'blobs' | 'directories'>
  readonly #options: DiffTreesOptions
  readonly #removed = new BlobList()
  readonly #added = new BlobList()
  readonly #shared = new BlobList()
  readonly #walked = { removed: new DigestSet(), added: new DigestSet(), shared: new DigestSet() }
  #directoriesRead = 0

  /** @param store stays the caller's */
  constructor(store: Pick<Store, 'blobs' | 'directories'>, options: DiffTreesOptions = {}) {
    this.#store = store
    this.#options = options
  }

  /**
   * The places where two trees differ, depth first, in order of names.
   *
   * @throws DataLossError on iterating, when a directory is missing or damaged; errors of the services; the signal's reason
   */
  async *differences(before: Node, after: Node): AsyncGenerator<TreeDifference, void, undefined> {
    const open: Iterator<EntryPair>[] = [[{ path: new Uint8Array(0), before, after }].values()]
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.next()
      if (next.done === true) {
        open.pop()
        continue
      }
      this.#options.signal?.throwIfAborted()
      const pair = next.value
      const kind = kindOf(pair.before, pair.after)
      if (kind === 'same') {
        if (this.#options.shared === true) await this.#sum(pair.before!, this.#shared, this.#walked.shared)
      } else if (kind === 'descend') {
        const both = [pair.before, pair.after].map((node) =>
          this.#read((node as { digest: B3Digest }).digest),
        )
        const [left, right] = await Promise.all(both)
        open.push(paired(left!.entries, right!.entries, pair.path))
      } else {
        if (kind === 'executable') {
          if (this.#options.shared === true) await this.#sum(pair.before!, this.#shared, this.#walked.shared)
        } else {
          if (pair.before !== undefined) await this.#sum(pair.before, this.#removed, this.#walked.removed)
          if (pair.after !== undefined) await this.#sum(pair.after, this.#added, this.#walked.added)
        }
        yield { kind, ...pair }
      }
    }
  }

  /** Sums of all that was compared. Reads the chunk lists of files that changed, no content. */
  async totals(): Promise<DiffTotals> {
    return {
      directoriesRead: this.#directoriesRead,
      removedBytes: this.#removed.bytes,
      addedBytes: this.#added.bytes,
      reusedBytes: await this.#reused(),
      sharedBytes: this.#options.shared === true ? this.#shared.bytes : undefined,
    }
  }

  async #reused(): Promise<bigint> {
    let bytes = 0n
    const there = new DigestSet()
    for await (const chunks of this.#chunks(this.#removed))
      for (const { digest } of chunks) there.add(digest.bytes)
    const counted = new DigestSet()
    for (const { digest, size } of this.#added) if (this.#removed.has(digest)) bytes += size
    for await (const chunks of this.#chunks(this.#added, this.#removed)) {
      for (const { digest, size } of chunks) {
        if (there.has(digest.bytes) && counted.add(digest.bytes)) bytes += size
      }
    }
    return bytes
  }

  /** The chunks of blobs, but of those that are in `but`. */
  async *#chunks(blobs: BlobList, but?: BlobList) {
    const { signal } = this.#options
    const cut = function* () {
      for (const { digest, size } of blobs) if (size > SHORTEST_CUT && but?.has(digest) !== true) yield digest
    }
    const look = (digest: B3Digest, stop: AbortSignal) => this.#store.blobs.chunks(digest, { signal: stop })
    for await (const chunks of mapOrdered(cut(), LOOKUPS, look, { signal })) yield chunks ?? []
  }

  /** Adds the blobs of everything below a node. */
  async #sum(root: Node, to: BlobList, walked: DigestSet): Promise<void> {
    const open: Node[] = [root]
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (node.kind === 'file') to.add(node.digest, node.size)
      if (node.kind !== 'directory' || !walked.add(node.digest.bytes)) continue
      this.#options.signal?.throwIfAborted()
      for (const entry of (await this.#read(node.digest)).entries) open.push(entry.node)
    }
  }

  async #read(digest: B3Digest): Promise<Directory> {
    this.#directoriesRead++
    const { signal } = this.#options
    const directory = await this.#store.directories.get(digest, { signal })
    if (directory !== undefined) return directory
    throw new DataLossError(digest, 'this store', `directory ${digest} does not exist`)
  }
}

interface EntryPair {
  readonly path: Uint8Array
  readonly before: Node | undefined
  readonly after: Node | undefined
}

function kindOf(before: Node | undefined, after: Node | undefined): DifferenceKind | 'same' | 'descend' {
  if (before === undefined) return 'added'
  if (after === undefined) return 'removed'
  if (before.kind === 'symlink' && after.kind === 'symlink') {
    return compareBytes(before.target.bytes, after.target.bytes) === 0 ? 'same' : 'changed'
  }
  if (before.kind === 'directory' && after.kind === 'directory') {
    return before.digest.equals(after.digest) ? 'same' : 'descend'
  }
  if (before.kind !== 'file' || after.kind !== 'file') return 'type-changed'
  if (!before.digest.equals(after.digest)) return 'changed'
  return before.executable === after.executable ? 'same' : 'executable'
}

/** The entries of two directories side by side, in order of names. */
function* paired(
  before: readonly DirectoryEntry[],
  after: readonly DirectoryEntry[],
  folder: Uint8Array,
): Generator<EntryPair> {
  let [left, right] = [0, 0]
  while (left < before.length || right < after.length) {
    const [one, other] = [before[left], after[right]]
    const order =
      one === undefined ? 1 : other === undefined ? -1 : compareBytes(one.name.bytes, other.name.bytes)
    if (order <= 0) left++
    if (order >= 0) right++
    const name = (order <= 0 ? one : other)!.name.bytes
    const path = folder.length === 0 ? name : Buffer.concat([folder, SLASH, name])
    yield { path, before: order <= 0 ? one?.node : undefined, after: order >= 0 ? other?.node : undefined }
  }
}
