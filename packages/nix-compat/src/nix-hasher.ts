import { digestStream } from '#digest'
import type { DigestStream } from './digest-interface.js'
import type { HashAlgorithm } from './hash-algorithm.js'
import { NixHash } from './nix-hash.js'

/** Computes the hash of bytes that arrive in pieces. */
export class NixHasher {
  readonly algorithm: HashAlgorithm
  readonly #stream: DigestStream

  constructor(algorithm: HashAlgorithm) {
    this.algorithm = algorithm
    this.#stream = digestStream(algorithm)
  }

  /** Adds bytes. They are read before it returns; the caller keeps the array. */
  update(bytes: Uint8Array): this {
    this.#stream.update(bytes)
    return this
  }

  /** The hash of everything added. Call it once; nothing may follow. */
  finish(): NixHash {
    return new NixHash(this.algorithm, this.#stream.digest())
  }
}
