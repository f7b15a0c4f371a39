import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Ed25519Platform } from './ed25519-interface.js'

/** What stands before a seed in PKCS #8 and before a public key in SPKI, both DER (spec 09 section 12.4). */
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')

const privateKey = (seed: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([PRIVATE, seed]), format: 'der', type: 'pkcs8' })

/** Ed25519 of Node's library, tens of times as fast as plain JavaScript. */
export const { publicKeyOf, signer, verifier }: Ed25519Platform = {
  publicKeyOf: (seed) => {
    const der = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' })
    return new Uint8Array(der.subarray(PUBLIC.length))
  },
  signer: (seed) => {
    const key = privateKey(seed)
    return (message) => new Uint8Array(sign(null, message, key))
  },
  verifier: (publicKey) => {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC, publicKey]), format: 'der', type: 'spki' })
    return (message, signature) => verify(null, message, key, signature)
  },
}
