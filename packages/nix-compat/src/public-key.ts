import { Point } from '@noble/ed25519'
import { verifier } from '#ed25519'
import { encodeBase64 } from './base64.js'
import { checkKeyName, parseNamedBytes } from './named-bytes.js'
import type { Signature } from './signature.js'
import { SignatureError } from './signature-error.js'

const SIZE = 32

/** A key that signatures are checked with, as in `trusted-public-keys` (spec 09 section 12.4). Immutable. */
export class PublicKey {
  readonly name: string
  /** 32 bytes. They belong to this object: do not write to them. */
  readonly bytes: Uint8Array
  readonly #verify: (message: Uint8Array, signature: Uint8Array) => boolean

  /**
   * @param bytes copied
   * @throws SignatureError `invalid-name`, `invalid-length`; `invalid-key` for what is no point of the curve, or one of
   *   the few for which anybody can make signatures
   */
  constructor(name: string, bytes: Uint8Array) {
    checkKeyName('public key', name)
    if (bytes.length !== SIZE) {
      throw new SignatureError('invalid-length', 'public key', `${SIZE} bytes`, `${bytes.length}`)
    }
    this.name = name
    this.bytes = new Uint8Array(bytes)
    if (!isUsable(this.bytes)) {
      throw new SignatureError('invalid-key', 'public key', 'a point of Ed25519', this.toString())
    }
    this.#verify = verifier(this.bytes)
  }

  /**
   * Reads `<name>:<base64>`, as Nix prints public keys.
   *
   * @throws SignatureError
   */
  static parse(text: string): PublicKey {
    const { name, bytes } = parseNamedBytes('public key', text, SIZE)
    return new PublicKey(name, bytes)
  }

  /** Whether this key made the signature, and under its own name. */
  verify(message: string | Uint8Array, signature: Signature): boolean {
    return signature.name === this.name && this.verifyBytes(message, signature.data)
  }

  /** As {@link verify}, whatever name the signature goes by. Text is signed as UTF-8. */
  verifyBytes(message: string | Uint8Array, data: Uint8Array): boolean {
    return this.#verify(typeof message === 'string' ? new TextEncoder().encode(message) : message, data)
  }

  /** `<name>:<base64>`. */
  toString(): string {
    return `${this.name}:${encodeBase64(this.bytes)}`
  }

  toJSON(): string {
    return this.toString()
  }

  equals(other: PublicKey): boolean {
    return this.toString() === other.toString()
  }
}

function isUsable(bytes: Uint8Array): boolean {
  try {
    return !Point.fromBytes(bytes, false).isSmallOrder()
  } catch {
    return false
  }
}
