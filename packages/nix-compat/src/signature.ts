import { encodeBase64 } from './base64.js'
import { checkKeyName, parseNamedBytes } from './named-bytes.js'
import { SignatureError } from './signature-error.js'

/** The length of an Ed25519 signature in bytes. */
export const SIGNATURE_SIZE = 64

/** An Ed25519 signature and the name of the key that is said to have made it (spec 09 section 12.3). Immutable. */
export class Signature {
  /** The name of the key. */
  readonly name: string
  /** 64 bytes. They belong to this object: do not write to them. */
  readonly data: Uint8Array

  /**
   * @param data copied
   * @throws SignatureError `invalid-name`, `invalid-length`
   */
  constructor(name: string, data: Uint8Array) {
    checkKeyName('signature', name)
    if (data.length !== SIGNATURE_SIZE) {
      throw new SignatureError('invalid-length', 'signature', `${SIGNATURE_SIZE} bytes`, `${data.length}`)
    }
    this.name = name
    this.data = new Uint8Array(data)
  }

  /**
   * Reads `<name>:<base64>`, as in the `Sig` lines of narinfo files.
   *
   * @throws SignatureError
   */
  static parse(text: string): Signature {
    const { name, bytes } = parseNamedBytes('signature', text, SIGNATURE_SIZE)
    return new Signature(name, bytes)
  }

  /** `<name>:<base64>`. */
  toString(): string {
    return `${this.name}:${encodeBase64(this.data)}`
  }

  toJSON(): string {
    return this.toString()
  }

  equals(other: Signature): boolean {
    return this.toString() === other.toString()
  }
}
