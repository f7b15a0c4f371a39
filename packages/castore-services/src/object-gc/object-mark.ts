import { B3Digest, decodeStatBlobResponse, MAX_DIRECTORY_BYTES, type Node } from '@neve/castore-model'
import { objectKey } from '../blob/object-layout.js'
import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { ClosureIndex } from '../directory/closure-index.js'
import { type Closure, decodeClosure } from '../directory/closure-object.js'
import { CastoreError } from '../errors.js'
import { DigestSet } from '../gc/digest-set.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'

const LIMITS = { maxDirectoryBytes: MAX_DIRECTORY_BYTES, maxClosureBytes: 512 * 1024 * 1024 }
const MAX_OBJECT = LIMITS.maxClosureBytes + 65536
const FOLDERS = { closures: 'dirs', lists: 'blobs', chunks: 'chunks', newerChunks: 'chunk' } as const
const HEX = /^[0-9a-f]{64}$/

/** The kinds of objects that are marked and swept, in the order in which they may be swept. */
export type MarkedKind = keyof typeof FOLDERS

/**
 * What is to stay of the blobs and directories of an object store: closures, the lists of the blobs in their
 * directories, the chunks of those. At most 36 bytes are kept of each (`DigestSet`).
 */
export class ObjectMark {
  readonly #store: ObjectStore
  readonly #index: ClosureIndex
  readonly #concurrency: number
  /** Objects under `dirs/` that stay. */
  readonly #closures = new DigestSet()
  /** Blobs, by their own digests. */
  readonly #blobs = new DigestSet()
  /** What lists name, besides the blobs of one chunk. */
  readonly #chunks = new DigestSet()
  #indexed = false
  directories = 0

  constructor(store: ObjectStore) {
    this.#store = store
    this.#index = new ClosureIndex(store)
    this.#concurrency = Math.min(store.concurrency ?? 32, 64)
  }

  /** The keys of which one is there if a directory or blob is, by its own digest. */
  static keysOf(digest: B3Digest): string[] {
    return Object.values(FOLDERS).map((folder) => objectKey(folder, digest))
  }

  /** Whether an object of that kind stays. */
  has(kind: MarkedKind, digest: Uint8Array): boolean {
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
      this.#blobs.add(node.digest.bytes)
      return true
    }
    if (this.#closures.has(node.digest.bytes) || (await this.closure(node.digest, options))) return true
    // It is a directory below the root of another upload.
    if (!this.#indexed) await this.#index.refresh(options)
    this.#indexed = true
    for (const root of this.#index.candidates(node.digest)) {
      const closure = await this.#read(root, options)
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
    if (this.#closures.has(root.bytes)) return true
    const closure = await this.#read(root, options)
    if (closure !== undefined) this.#add(closure)
    return closure !== undefined
  }

  async #read(root: B3Digest, { signal }: CallOptions): Promise<Closure | undefined> {
    const stored = await this.#store.get(objectKey('dirs', root), { maxSize: MAX_OBJECT, signal })
    return stored && decodeClosure(root, stored, LIMITS, `objectstore+${this.#store.name}`)
  }

  #add({ root, directories }: Closure): void {
    if (!this.#closures.add(root.bytes)) return
    this.directories += directories.size
    for (const directory of directories.values()) {
      for (const { node } of directory.entries) if (node.kind === 'file') this.#blobs.add(node.digest.bytes)
    }
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
    const wanted = (meta: ObjectMeta, digest: B3Digest): boolean =>
      this.#blobs.has(digest.bytes) || stays(meta)
    await this.#each('lists', wanted, (digest, signal) => this.list(digest, { signal }), options)
  }

  /** Marks the chunks of a list that stays. */
  async list(blob: B3Digest, { signal }: CallOptions): Promise<void> {
    const key = objectKey('blobs', blob)
    const stored = await this.#store.get(key, { maxSize: 64 * 1024 * 1024, signal })
    if (stored === undefined) return
    this.#blobs.add(blob.bytes)
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

/** An object, and the digest in its key. */
export interface ListedObject {
  readonly meta: ObjectMeta
  readonly digest: B3Digest
}

/** The objects of a kind; what has another name in the same folder is passed over. */
async function* listDigests(
  store: ObjectStore,
  kind: MarkedKind,
  options: CallOptions,
): AsyncGenerator<ListedObject, void, undefined> {
  const folder = FOLDERS[kind]
  for await (const meta of store.list(`${folder}/b3/`, options)) {
    const hex = meta.key.slice(meta.key.lastIndexOf('/') + 1)
    if (!HEX.test(hex)) continue
    const digest = B3Digest.from(Buffer.from(hex, 'hex'))
    if (meta.key === objectKey(folder, digest)) yield { meta, digest }
  }
}
