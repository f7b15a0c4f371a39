/** The hash algorithms that Nix uses for contents (spec 09 section 8.2). */
export type HashAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha512'

const sizes: ReadonlyMap<string, number> = new Map<HashAlgorithm, number>([
  ['md5', 16],
  ['sha1', 20],
  ['sha256', 32],
  ['sha512', 64],
])

/** All algorithms, weakest first. */
export const HASH_ALGORITHMS: readonly HashAlgorithm[] = ['md5', 'sha1', 'sha256', 'sha512']

/** The length of the algorithm's digests in bytes. */
export function digestSize(algorithm: HashAlgorithm): number {
  return sizes.get(algorithm)!
}

/** Whether a text names one of the algorithms: lower case, without any decoration. */
export function isHashAlgorithm(text: string): text is HashAlgorithm {
  return sizes.has(text)
}
