import { B3Digest } from '@neve/castore-model'
import { objectKey } from '../blob/object-layout.js'
import type { CallOptions } from '../call-options.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'

const FOLDERS = { closures: 'dirs', lists: 'blobs', chunks: 'chunks', newerChunks: 'chunk' } as const
const HEX = /^[0-9a-f]{64}$/

/** The kinds of objects that are marked and swept, in the order in which they may be swept. */
export type MarkedKind = keyof typeof FOLDERS
export const MARKED_KINDS: readonly MarkedKind[] = ['closures', 'lists', 'chunks', 'newerChunks']

/** An object, and the digest in its key. */
export interface ListedObject {
  readonly meta: ObjectMeta
  readonly digest: B3Digest
}

/** The objects of a kind; what has another name in the same folder is passed over. */
export async function* listDigests(
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

/** The keys of which one is there if a directory or blob is, by its own digest. */
export function keysOf(digest: B3Digest): string[] {
  return Object.values(FOLDERS).map((folder) => objectKey(folder, digest))
}
