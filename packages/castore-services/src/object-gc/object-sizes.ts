import type { CallOptions } from '../call-options.js'
import { DigestSizes } from '../gc/digest-sizes.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'
import { listDigests, MARKED_KINDS, type MarkedKind } from './listed-objects.js'

/** What the closures, lists and chunks of an object store take, as far as they may still go. In bytes. */
export class ObjectSizes {
  readonly closures = new DigestSizes()
  readonly lists = new DigestSizes()
  /** Of both folders of chunks. */
  readonly chunks = new DigestSizes()
  /** What those take that are marked already, or stay for their own sake. */
  kept = 0

  /**
   * Lists all of them.
   *
   * @param marked tells what is marked
   * @param stays what stays for its own sake
   */
  static async read(
    store: ObjectStore,
    marked: { has(kind: MarkedKind, digest: Uint8Array): boolean },
    stays: (meta: ObjectMeta) => boolean,
    options: CallOptions,
  ): Promise<ObjectSizes> {
    const sizes = new ObjectSizes()
    for (const kind of MARKED_KINDS) {
      const table = sizes[kind === 'newerChunks' ? 'chunks' : kind]
      for await (const { meta, digest } of listDigests(store, kind, options)) {
        if (marked.has(kind, digest.bytes) || stays(meta)) sizes.kept += meta.size
        else table.add(digest.bytes, meta.size)
      }
    }
    return sizes
  }
}
