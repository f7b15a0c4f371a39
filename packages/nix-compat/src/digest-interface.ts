import type { HashAlgorithm } from './hash-algorithm.js'

/** A hash computation under way. */
export interface DigestStream {
  /** Reads the bytes before it returns; the caller keeps the array. */
  update(bytes: Uint8Array): void
  /** The digest, an array of its own. Ends the computation: nothing may be called after it. */
  digest(): Uint8Array
}

/** What a platform has to offer: the four algorithms, synchronously. */
export interface DigestPlatform {
  digest(algorithm: HashAlgorithm, bytes: Uint8Array): Uint8Array
  digestStream(algorithm: HashAlgorithm): DigestStream
}
