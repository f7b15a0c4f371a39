import type { Node } from '@neve/castore-model'
import {
  type ContentAddress,
  fingerprint,
  formatNarInfo,
  type NarInfo,
  NixHash,
  type Signature,
  StorePath,
} from '@neve/nix-compat'

/** Maps a store path to its contents, with what is needed to make its narinfo again (spec 07 section 3). Immutable. */
export interface PathInfo {
  readonly storePath: StorePath
  /** The root of the contents. */
  readonly node: Node
  /** The store paths that the contents mention, in the order of the narinfo, which is sorted. */
  readonly references: readonly StorePath[]
  /** Length of the NAR in bytes. */
  readonly narSize: bigint
  /** 32 bytes; do not write to them. */
  readonly narSha256: Uint8Array
  readonly signatures: readonly Signature[]
  /** The derivation that made it, its name without `.drv`. */
  readonly deriver: StorePath | undefined
  /** What the store path was made from, if it was made from contents. */
  readonly ca: ContentAddress | undefined
}

/** Where the NAR of a narinfo is, which a path info does not know. */
export type NarLocation = Pick<NarInfo, 'url' | 'compression' | 'fileHash' | 'fileSize'>

/**
 * The narinfo of a path info (spec 07 section 10.1), for a NAR at a location.
 *
 * @see formatNarInfo of `@neve/nix-compat`
 */
export function toNarInfo(info: PathInfo, location: NarLocation): NarInfo {
  const { deriver } = info
  return {
    storePath: info.storePath,
    ...location,
    narHash: new NixHash('sha256', info.narSha256),
    narSize: info.narSize,
    references: info.references,
    deriver: deriver && new StorePath(deriver.digest, `${deriver.name}.drv`),
    signatures: info.signatures,
    ca: info.ca,
  }
}

/** The text of {@link toNarInfo}. */
export function narInfoText(info: PathInfo, location: NarLocation): string {
  return formatNarInfo(toNarInfo(info, location))
}

/** The path info of a narinfo and the root of what its NAR holds (spec 07 section 10.2). */
export function fromNarInfo(info: NarInfo, node: Node): PathInfo {
  return { ...metadataOfNarInfo(info), node }
}

/** What a narinfo says of a store path. */
export function metadataOfNarInfo(info: NarInfo): Omit<PathInfo, 'node'> {
  const { deriver } = info
  return {
    storePath: info.storePath,
    references: info.references,
    narSize: info.narSize,
    narSha256: info.narHash.digest,
    signatures: info.signatures,
    deriver: deriver && new StorePath(deriver.digest, deriver.name.replace(/\.drv$/, '')),
    ca: info.ca,
  }
}

/** The text that signatures of a path info are over (spec 07 section 10.5). */
export function pathInfoFingerprint(info: PathInfo): string {
  return fingerprint({ ...info, narHash: new NixHash('sha256', info.narSha256) })
}
