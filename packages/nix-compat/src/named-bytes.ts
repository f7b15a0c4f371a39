import { decodeBase64 } from './base64.js'
import { SignatureError } from './signature-error.js'

/** The longest name of a key, in characters. */
const MAX_KEY_NAME_LENGTH = 255

/**
 * Checks the name of a key: text of up to 255 characters, without colons, blanks and control characters, as it stands
 * in lines of a narinfo and in lists of keys (spec 09 section 12.4).
 *
 * @param what for the message
 * @throws SignatureError `invalid-name`
 */
export function checkKeyName(what: string, name: string): void {
  if (/^[^\s:\p{C}]+$/u.test(name) && name.length <= MAX_KEY_NAME_LENGTH) return
  throw new SignatureError(
    'invalid-name',
    what,
    `a name of 1 to ${MAX_KEY_NAME_LENGTH} printable characters without colon`,
    JSON.stringify(name.slice(0, 100)),
  )
}

/**
 * Takes `name:base64` apart, at its first colon.
 *
 * @param secret whether messages must not show the text
 * @throws SignatureError
 */
export function parseNamedBytes(
  what: string,
  text: string,
  size: number,
  secret = false,
): { readonly name: string; readonly bytes: Uint8Array } {
  const colon = text.indexOf(':')
  if (colon < 0) {
    throw new SignatureError(
      'missing-separator',
      what,
      '<name>:<base64>',
      secret ? 'no colon' : JSON.stringify(text.slice(0, 100)),
    )
  }
  const name = text.slice(0, colon)
  checkKeyName(what, name)
  const encoded = text.slice(colon + 1)
  const expected = 4 * Math.ceil(size / 3)
  if (encoded.length !== expected) {
    throw new SignatureError(
      'invalid-length',
      what,
      `${expected} characters of base64 after the colon`,
      `${encoded.length}`,
    )
  }
  const bytes = decodeBase64(encoded)
  if (bytes === undefined) {
    throw new SignatureError(
      'invalid-encoding',
      what,
      'standard base64 after the colon',
      secret ? 'something else' : JSON.stringify(encoded),
    )
  }
  if (bytes.length !== size) {
    throw new SignatureError('invalid-length', what, `${size} bytes`, `${bytes.length}`)
  }
  return { name, bytes }
}
