/** What a platform has to offer: Ed25519 as in RFC 8032, synchronously. */
export interface Ed25519Platform {
  /** The public key, 32 bytes, of a seed of 32 bytes. */
  publicKeyOf(seed: Uint8Array): Uint8Array
  /** A function that signs with a seed: 64 bytes. */
  signer(seed: Uint8Array): (message: Uint8Array) => Uint8Array
  /** A function that says whether 64 bytes are a signature of the key over a message. */
  verifier(publicKey: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean
}
