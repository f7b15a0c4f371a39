import { publicKeyOf, signer } from '#ed25519'
import { encodeBase64 } from './base64.js'
import { parseNamedBytes } from './named-bytes.js'
import { PublicKey } from './public-key.js'
import { Signature } from './signature.js'
import { SignatureError } from './signature-error.js'

const SEED_SIZE = 32
const SIZE = 64

/**
 * A key to sign with (spec 09 section 12.4). It shows what is secret in {@link toSecretText} only: not when it is
 * printed, and not as JSON.
 */
export class SecretKey {
  readonly publicKey: PublicKey
  readonly #seed: Uint8Array
  readonly #sign: (message: Uint8Array) => Uint8Array

  /**
   * @param seed 32 bytes, copied
   * @throws SignatureError `invalid-name`, `invalid-length`
   */
  constructor(name: string, seed: Uint8Array) {
    if (seed.length !== SEED_SIZE) {
      throw new SignatureError(
        'invalid-length',
        'secret key',
        `a seed of ${SEED_SIZE} bytes`,
        `${seed.length}`,
      )
    }
    this.#seed = new Uint8Array(seed)
    this.publicKey = new PublicKey(name, publicKeyOf(this.#seed))
    this.#sign = signer(this.#seed)
  }

  /** A new key. */
  static generate(name: string): SecretKey {
    return new SecretKey(name, crypto.getRandomValues(new Uint8Array(SEED_SIZE)))
  }

  /**
   * Reads `<name>:<base64>` of seed and public key, as Nix writes key files. Blanks and line ends behind it are
   * tolerated.
   *
   * @throws SignatureError
   */
  static parse(text: string): SecretKey {
    const { name, bytes } = parseNamedBytes('secret key', text.trimEnd(), SIZE, true)
    const key = new SecretKey(name, bytes.subarray(0, SEED_SIZE))
    if (!key.publicKey.bytes.every((byte, i) => byte === bytes[SEED_SIZE + i])) {
      throw new SignatureError('invalid-key', 'secret key', 'the public half of its seed', 'another one')
    }
    return key
  }

  get name(): string {
    return this.publicKey.name
  }

  /** Signs a message; text as UTF-8. The same message has the same signature each time. */
  sign(message: string | Uint8Array): Signature {
    const bytes = typeof message === 'string' ? new TextEncoder().encode(message) : message
    return new Signature(this.name, this.#sign(bytes))
  }

  /** What belongs in a key file. */
  toSecretText(): string {
    const both = new Uint8Array(SIZE)
    both.set(this.#seed)
    both.set(this.publicKey.bytes, SEED_SIZE)
    return `${this.name}:${encodeBase64(both)}`
  }
}
