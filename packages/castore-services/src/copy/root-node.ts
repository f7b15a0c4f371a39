import type { B3Digest, Node } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import type { CopyServices } from './copy-closure.js'

/**
 * What a digest is the digest of. The target is asked first: what is there needs no source.
 *
 * @throws CastoreError `not-found`
 */
export async function rootNode(
  { from, to }: { readonly from: CopyServices; readonly to: CopyServices },
  digest: B3Digest,
  options: CallOptions,
): Promise<Node> {
  const directory =
    (await to.directories.get(digest, options)) ?? (await from.directories.get(digest, options))
  if (directory !== undefined) return directory.toNode()
  for (const { blobs } of [to, from]) {
    await using reader = await blobs.open(digest, options)
    if (reader !== undefined) return { kind: 'file', digest, size: reader.size, executable: false }
  }
  throw absentRoot(digest)
}

/** What is thrown where neither side has the root. */
export function absentRoot(digest: B3Digest): CastoreError {
  return new CastoreError('not-found', `the source has no directory or blob ${digest}`)
}
