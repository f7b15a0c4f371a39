import { type B3Digest, decodeStatBlobResponse, MAX_DIRECTORY_BYTES, type Node } from '@neve/castore-model'
import { objectKey } from '../blob/object-layout.js'
import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { ClosureIndex } from '../directory/closure-index.js'
import { type Closure, decodeClosure } from '../directory/closure-object.js'
import { CastoreError } from '../errors.js'
import { DigestSet } from '../gc/digest-set.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'
import { keysOf, type ListedObject, listDigests, type MarkedKind } from './listed-objects.js'
import type { ObjectSizes } from './object-sizes.js'

const LIMITS = { maxDirectoryBytes: MAX_DIRECTORY_BYTES, maxClosureBytes: 512 * 1024 * 1024 }
const MAX_OBJECT = LIMITS.maxClosureBytes + 65536
/** Lists that one mark has read at once. */
const LISTS_AT_ONCE = 8

/**
 * What is to stay of the blobs and directories of an object store: closures, the lists of the blobs in their
 * directories, the chunks of those. At most 36 bytes are kept of each (`DigestSet`).
 */
export class ObjectMark {
  readonly #store: ObjectStore
  readonly #index: ClosureIndex
  readonly #concurrency: number
  /** What is marked there is not marked here. */
  readonly #below: ObjectMark | undefined
  readonly #sizes: ObjectSizes | undefined
  /** Objects under `dirs/` that stay. */
  readonly #closures = new DigestSet()
  /** Blobs, by their own digests. */
  readonly #blobs = new DigestSet()
  /** What lists name, besides the blobs of one chunk. */
  readonly #chunks = new DigestSet()
  /** Blobs whose lists were read. */
  readonly #read = new DigestSet()
  /** Blobs whose lists are to be measured. */
  readonly #unread: B3Digest[] = []
  #indexing: Promise<void> | undefined
  directories = 0

  constructor(
    store: ObjectStore,
    above?: { readonly below: ObjectMark; readonly sizes: ObjectSizes } | undefined,
  ) {
    this.#store = store
    this.#below = above?.below
    this.#sizes = above?.sizes
    this.#index = above === undefined ? new ClosureIndex(store) : above.below.#index
    this.#concurrency = Math.min(store.concurrency ?? 32, 64)
  }

  /** The keys of which one is there if a directory or blob is, by its own digest. */
  static keysOf(digest: B3Digest): string[] {
    return keysOf(digest)
  }

  /**
   * A mark for what may be marked, to be measured first: what is marked here already is not in it. It marks nothing here
   * until it is {@link add}ed.
   */
  above(sizes: ObjectSizes): ObjectMark {
    return new ObjectMark(this.#store, { below: this, sizes })
  }

  /** Marks what another one has marked. */
  add(other: ObjectMark): void {
    this.#closures.addAll(other.#closures)
    this.#blobs.addAll(other.#blobs)
    this.#chunks.addAll(other.#chunks)
    this.#read.addAll(other.#read)
    this.directories += other.directories
  }

  /** What all takes that is marked here and not, by now, in the mark that this is {@link above}, in bytes. */
  get bytes(): number {
    const below = this.#below
    const sizes = this.#sizes
    if (below === undefined || sizes === undefined) return 0
    let bytes = 0
    for (const closure of this.#closures.prefixes()) {
      if (!below.#closures.has(closure)) bytes += sizes.closures.get(closure)
    }
    for (const blob of this.#blobs.prefixes()) {
      if (!below.#blobs.has(blob)) bytes += sizes.lists.get(blob)
      if (!below.has('chunks', blob)) bytes += sizes.chunks.get(blob)
    }
    for (const chunk of this.#chunks.prefixes()) {
      if (!this.#blobs.has(chunk) && !below.has('chunks', chunk)) bytes += sizes.chunks.get(chunk)
    }
    return bytes
  }

  /** Whether an object of that kind stays. */
  has(kind: MarkedKind, digest: Uint8Array): boolean {
    if (this.#below?.has(kind, digest) === true) return true
    if (kind === 'closures') return this.#closures.has(digest)
    if (kind === 'lists') return this.#blobs.has(digest)
    return this.#blobs.has(digest) || this.#chunks.has(digest)
  }

  /**
   * Marks what a node stands for, but not yet the chunks of blobs: {@link lists} does. What is missing is passed over.
   *
   * @throws CastoreError `data-loss` for a closure that cannot be read
   */
  async node(
    node: Pick<Node & { kind: 'directory' | 'file' }, 'kind' | 'digest'>,
    options: CallOptions = {},
  ): Promise<boolean> {
    if (node.kind === 'file') {
      this.#blob(node.digest)
      return true
    }
    if (await this.closure(node.digest, options)) return true
    // It is a directory below the root of another upload.
    await this.#refreshIndex(options)
    for (const root of this.#index.candidates(node.digest)) {
      const closure = await this.#readClosure(root, options)
      if (closure?.directories.has(node.digest.key) !== true) continue
      this.#add(closure)
      return true
    }
    return false
  }

  /**
   * Marks the closure with that root, and the blobs in it.
   *
   * @returns whether there is one
   * @throws CastoreError `data-loss`
   */
  async closure(root: B3Digest, options: CallOptions): Promise<boolean> {
    if (this.has('closures', root.bytes)) return true
    const closure = await this.#readClosure(root, options)
    if (closure !== undefined) this.#add(closure)
    return closure !== undefined
  }

  /** Once for all. */
  #refreshIndex(options: CallOptions): Promise<void> {
    if (this.#below !== undefined) return this.#below.#refreshIndex(options)
    this.#indexing ??= this.#index.refresh(options)
    return this.#indexing
  }

  async #readClosure(root: B3Digest, { signal }: CallOptions): Promise<Closure | undefined> {
    const stored = await this.#store.get(objectKey('dirs', root), { maxSize: MAX_OBJECT, signal })
    return stored && decodeClosure(root, stored, LIMITS, `objectstore+${this.#store.name}`)
  }

  #add({ root, directories }: Closure): void {
    if (!this.#closures.add(root.bytes)) return
    this.directories += directories.size
    for (const directory of directories.values()) {
      for (const { node } of directory.entries) if (node.kind === 'file') this.#blob(node.digest)
    }
  }

  #blob(digest: B3Digest): void {
    if (this.#below?.has('lists', digest.bytes) === true || !this.#blobs.add(digest.bytes)) return
    // One without a list, or with an empty one, is its only chunk.
    if ((this.#sizes?.lists.get(digest.bytes) ?? 0) > 0) this.#unread.push(digest)
  }

  /** Marks the chunks of what is marked here, of a mark that is {@link above} another one. */
  async chunksToMeasure(options: CallOptions): Promise<void> {
    const unread = this.#unread.splice(0)
    const read = (digest: B3Digest, signal: AbortSignal) => this.list(digest, { signal })
    for await (const _ of mapOrdered(unread, LISTS_AT_ONCE, read, options));
  }

  /** Marks the closures that are there and stay for another reason than that something refers to them. */
  async closures(stays: (meta: ObjectMeta) => boolean, options: CallOptions): Promise<void> {
    await this.#each('closures', stays, (digest, signal) => this.closure(digest, { signal }), options)
  }

  /**
   * Marks the chunks of all blobs that are marked, and of those whose lists stay for another reason.
   *
   * @throws CastoreError `data-loss` for a list that cannot be read
   */
  async lists(stays: (meta: ObjectMeta) => boolean, options: CallOptions): Promise<void> {
    const wanted = (meta: ObjectMeta, { bytes }: B3Digest): boolean => {
      if (!this.#blobs.has(bytes) && !stays(meta)) return false
      this.#blobs.add(bytes)
      // An empty list names nothing. What a list names that was written since is young.
      return meta.size > 0 && !this.#read.has(bytes)
    }
    await this.#each('lists', wanted, (digest, signal) => this.list(digest, { signal }), options)
  }

  /** Marks the chunks of a list that stays. */
  async list(blob: B3Digest, { signal }: CallOptions): Promise<void> {
    const key = objectKey('blobs', blob)
    const stored = await this.#store.get(key, { maxSize: 64 * 1024 * 1024, signal })
    if (stored === undefined) return
    this.#blobs.add(blob.bytes)
    this.#read.add(blob.bytes)
    try {
      for (const { digest } of decodeStatBlobResponse(stored)) this.#chunks.add(digest.bytes)
    } catch (error) {
      const detail = `object ${key} cannot be read: run neve verify before garbage is collected (${this.#store.name})`
      throw new CastoreError('data-loss', detail, { cause: error })
    }
  }

  async #each(
    kind: MarkedKind,
    wanted: (meta: ObjectMeta, digest: B3Digest) => boolean,
    work: (digest: B3Digest, signal: AbortSignal) => Promise<unknown>,
    options: CallOptions,
  ): Promise<void> {
    const store = this.#store
    const digests = async function* (): AsyncGenerator<B3Digest, void, undefined> {
      for await (const { meta, digest } of listDigests(store, kind, options))
        if (wanted(meta, digest)) yield digest
    }
    for await (const _ of mapOrdered(digests(), this.#concurrency, work, options));
  }

  /** The objects of a kind that are not marked, with what they are named by. */
  async *unmarked(kind: MarkedKind, options: CallOptions): AsyncGenerator<ListedObject, void, undefined> {
    for await (const listed of listDigests(this.#store, kind, options)) {
      if (!this.has(kind, listed.digest.bytes)) yield listed
    }
  }
}
