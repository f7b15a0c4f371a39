import { compareBytes } from '@neve/castore-model'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'

/**
 * What is stored when a path info is put where there is one (DESIGN decision 12): of the same contents, the signatures of
 * both, and from the known one what the new one does not say.
 *
 * @throws StoreError `already-exists` when the known one has another name or NAR hash
 */
export function mergePathInfos(known: PathInfo, info: PathInfo): PathInfo {
  if (!known.storePath.equals(info.storePath)) {
    throw new StoreError(
      'already-exists',
      `${info.storePath.toAbsolute()} is in the store under the name ${known.storePath.name}`,
    )
  }
  if (compareBytes(known.narSha256, info.narSha256) !== 0) {
    throw new StoreError(
      'already-exists',
      `${info.storePath.toAbsolute()} is in the store with another NAR hash`,
    )
  }
  const signatures = new Map([...known.signatures, ...info.signatures].map((s) => [s.toString(), s]))
  return {
    ...info,
    references: info.references.length > 0 ? info.references : known.references,
    signatures: [...signatures.values()],
    deriver: info.deriver ?? known.deriver,
    ca: info.ca ?? known.ca,
  }
}

/** What has to be put so that these signatures are stored, too. @returns undefined when they are */
export function withMoreSignatures(
  known: PathInfo,
  { signatures }: Pick<PathInfo, 'signatures'>,
): PathInfo | undefined {
  const have = new Set(known.signatures.map(String))
  const more = signatures.filter((signature) => !have.has(String(signature)))
  return more.length === 0 ? undefined : { ...known, signatures: [...known.signatures, ...more] }
}
