const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const values: ReadonlyMap<string, number> = new Map(
  [...alphabet].map((character, value) => [character, value]),
)

/** Standard base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    for (let k = 0; k < 4; k++) {
      text += i + k > bytes.length ? '=' : alphabet[(group >> (18 - 6 * k)) & 63]!
    }
  }
  return text
}

/**
 * The bytes that canonical standard base64 stands for; `undefined` for anything else: other characters, wrong
 * padding, bits set beyond the last byte. Padding is all there or, with `padding: 'optional'`, all missing.
 */
export function decodeBase64(
  text: string,
  { padding = 'required' }: { readonly padding?: 'required' | 'optional' } = {},
): Uint8Array | undefined {
  const body = text.replace(/={1,2}$/, '')
  const padded = body.length + ((4 - (body.length % 4)) % 4)
  const unpadded = body.length === text.length && padding === 'optional'
  if (body.length % 4 === 1 || (text.length !== padded && !unpadded)) return undefined

  const bytes = new Uint8Array(Math.floor((body.length * 3) / 4))
  let bits = 0
  let held = 0
  let length = 0
  for (const character of body) {
    const value = values.get(character)
    if (value === undefined) return undefined
    bits = ((bits << 6) | value) & 0xffff
    held += 6
    if (held >= 8) {
      held -= 8
      bytes[length++] = (bits >> held) & 0xff
    }
  }
  return (bits & ((1 << held) - 1)) === 0 ? bytes : undefined
}
