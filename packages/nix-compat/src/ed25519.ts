import { getPublicKey, hashes, sign, verify } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import type { Ed25519Platform } from './ed25519-interface.js'

hashes.sha512 = sha512

/** Ed25519 in plain JavaScript: for browsers, whose own is asynchronous. */
export const { publicKeyOf, signer, verifier }: Ed25519Platform = {
  publicKeyOf: (seed) => getPublicKey(seed),
  signer: (seed) => (message) => sign(message, seed),
  verifier: (publicKey) => (message, signature) => verify(signature, message, publicKey, { zip215: false }),
}
