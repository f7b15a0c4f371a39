import type { ContentAddress } from './content-address.js'
import type { Fingerprinted } from './fingerprint.js'
import type { NixHash } from './nix-hash.js'
import type { Signature } from './signature.js'

/** What a narinfo file says about a store path and about where its NAR is (spec 09 section 12). */
export interface NarInfo extends Fingerprinted {
  /** Of the NAR, relative to the root of the binary cache; not empty. */
  readonly url: string
  /** How the file at `url` is compressed: `none`, `xz`, `bzip2`, `gzip`, `zstd`, `br`, … */
  readonly compression: string
  /** SHA-256 of the file at `url`. */
  readonly fileHash?: NixHash | undefined
  /** Length of the file at `url` in bytes. */
  readonly fileSize?: bigint | undefined
  /** The derivation that made it, its name with `.drv`. */
  readonly deriver?: Fingerprinted['storePath'] | undefined
  readonly system?: string | undefined
  readonly signatures: readonly Signature[]
  readonly ca?: ContentAddress | undefined
}

/**
 * The text of a narinfo file, in the order in which Nix writes it (spec 09 section 12.1). `parseNarInfo` gives the same
 * back, where the values are such as `parseNarInfo` takes.
 */
export function formatNarInfo(info: NarInfo): string {
  const lines = [
    `StorePath: ${info.storePath.toAbsolute()}`,
    `URL: ${info.url}`,
    `Compression: ${info.compression}`,
  ]
  if (info.fileHash !== undefined) lines.push(`FileHash: ${info.fileHash.toNix()}`)
  if (info.fileSize !== undefined) lines.push(`FileSize: ${info.fileSize}`)
  lines.push(`NarHash: ${info.narHash.toNix()}`, `NarSize: ${info.narSize}`)
  lines.push(`References: ${info.references.join(' ')}`)
  if (info.deriver !== undefined) lines.push(`Deriver: ${info.deriver}`)
  if (info.system !== undefined) lines.push(`System: ${info.system}`)
  for (const signature of info.signatures) lines.push(`Sig: ${signature}`)
  if (info.ca !== undefined) lines.push(`CA: ${info.ca}`)
  return `${lines.join('\n')}\n`
}
