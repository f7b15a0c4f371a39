import type { NixHash } from './nix-hash.js'
import type { PublicKey } from './public-key.js'
import type { Signature } from './signature.js'
import { STORE_DIR, StorePath } from './store-path.js'

/** What a signature vouches for. */
export interface Fingerprinted {
  readonly storePath: StorePath
  /** SHA-256 of the NAR. */
  readonly narHash: NixHash
  /** Length of the NAR in bytes. */
  readonly narSize: bigint
  readonly references: readonly StorePath[]
}

/** The text that is signed (spec 09 section 12.3), its references sorted and each there once. */
export function fingerprint(info: Fingerprinted): string {
  const sorted = [...info.references].sort(StorePath.compare)
  return withReferences(
    info,
    sorted.filter((reference, i) => i === 0 || !reference.equals(sorted[i - 1]!)),
  )
}

/**
 * The first of the signatures that a trusted key made, if there is one. References that are not sorted, as some old
 * files have them, may have been signed in the order in which they stand.
 */
export function trustedSignature(
  info: Fingerprinted & { readonly signatures: readonly Signature[] },
  keys: readonly PublicKey[],
): Signature | undefined {
  const texts = new Set([fingerprint(info), withReferences(info, info.references)])
  const messages = [...texts].map((text) => new TextEncoder().encode(text))
  return info.signatures.find((signature) =>
    keys.some((key) => messages.some((message) => key.verify(message, signature))),
  )
}

function withReferences(
  { storePath, narHash, narSize }: Fingerprinted,
  references: readonly StorePath[],
): string {
  const list = references.map((reference) => `${STORE_DIR}/${reference}`).join(',')
  return `1;${storePath.toAbsolute()};${narHash.toNix()};${narSize};${list}`
}
