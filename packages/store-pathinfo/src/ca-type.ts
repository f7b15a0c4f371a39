import type { ContentAddress, ContentAddressMethod, HashAlgorithm } from '@neve/nix-compat'

interface CaType {
  readonly method: ContentAddressMethod
  readonly algorithm: HashAlgorithm
}

/** `NARInfo.CA.Hash` of the wire (spec 07 section 2.5), by number. */
const TYPES: readonly CaType[] = [
  { method: 'recursive', algorithm: 'sha256' },
  { method: 'recursive', algorithm: 'sha1' },
  { method: 'recursive', algorithm: 'sha512' },
  { method: 'recursive', algorithm: 'md5' },
  { method: 'text', algorithm: 'sha256' },
  { method: 'flat', algorithm: 'sha1' },
  { method: 'flat', algorithm: 'md5' },
  { method: 'flat', algorithm: 'sha256' },
  { method: 'flat', algorithm: 'sha512' },
]

/** What a number of the wire stands for; undefined for one that there is not. */
export function caOfType(type: number): CaType | undefined {
  return TYPES[type]
}

/** The number of a content address on the wire. */
export function typeOfCa({ method, hash }: ContentAddress): number {
  return TYPES.findIndex((type) => type.method === method && type.algorithm === hash.algorithm)
}
