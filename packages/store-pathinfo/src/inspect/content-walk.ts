import type { Node } from '@neve/castore-model'
import { type CallOptions, CastoreError } from '@neve/castore-services'
import { DigestSet, eachChild } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'

const DIGEST = 32
const LIST_ENTRY = 36
/** Directories that are walked through before others get a turn. */
const A_TURN = 4096

/** What was walked through: each thing once. */
export class Visited {
  readonly directories = new DigestSet()
  readonly blobs = new DigestSet()
  /** Chunks, and blobs in one piece. */
  readonly content = new DigestSet()
}

/**
 * Walks through all that a node stands for in an embedded store, by its tables alone; what is missing is passed over.
 *
 * @param visited what is in it already is left out, with all below it; the rest is added
 * @param visit told of each piece of content that is new to `visited`: the array is good until it returns
 * @throws CastoreError `data-loss` for a directory that cannot be read; the signal's reason
 */
export async function walkContent(
  engine: EmbeddedStore,
  root: Node,
  visited: Visited,
  visit: (key: Uint8Array) => void,
  { signal }: CallOptions = {},
): Promise<void> {
  const blob = (digests: Uint8Array, at: number): void => {
    if (!visited.blobs.add(digests, at)) return
    const digest = Uint8Array.prototype.slice.call(digests, at, at + DIGEST)
    const list = engine.view('blobs', digest)
    if (list === undefined) {
      if (visited.content.add(digest)) visit(digest)
      return
    }
    for (let entry = 0; entry + LIST_ENTRY <= list.length; entry += LIST_ENTRY) {
      if (visited.content.add(list, entry))
        fresh.push(Uint8Array.prototype.slice.call(list, entry, entry + DIGEST))
    }
    // A visitor may read the tables, and the list is a view of them.
    for (const key of fresh) visit(key)
    fresh.length = 0
  }
  const fresh: Uint8Array[] = []
  const open: Uint8Array[] = []
  if (root.kind === 'file') blob(root.digest.bytes, 0)
  if (root.kind === 'directory' && visited.directories.add(root.digest.bytes)) open.push(root.digest.bytes)
  let walked = 0
  for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
    const encoded = engine.get('directories', digest)
    const whole =
      encoded === undefined ||
      eachChild(encoded, (kind, at) => {
        if (kind === 'file') blob(encoded, at)
        else if (visited.directories.add(encoded, at)) open.push(encoded.subarray(at, at + DIGEST))
      })
    if (!whole) {
      const hex = Buffer.from(digest).toString('hex')
      throw new CastoreError('data-loss', `directory ${hex} cannot be read: run neve verify`)
    }
    if (++walked % A_TURN > 0) continue
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
  }
}
