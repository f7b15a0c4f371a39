const encoder = new TextEncoder()
const scratch = new Uint8Array(1024)

/** UTF-8 of text. Short results are small arrays of their own, which cost far less than what `TextEncoder.encode` allocates. */
function encodeText(text: string): Uint8Array {
  if (text.length * 3 > scratch.length) return encoder.encode(text)
  return scratch.slice(0, encoder.encodeInto(text, scratch).written)
}

/** Bytewise order (`memcmp`, then length): negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Whether both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** An injective text form of bytes: one character per byte, code points 0 to 255. For `Map` keys, not for people. */
export function latin1(bytes: Uint8Array): string {
  if (bytes.length <= 4096) return String.fromCharCode.apply(null, bytes as unknown as number[])
  let out = ''
  for (let at = 0; at < bytes.length; at += 4096) out += latin1(bytes.subarray(at, at + 4096))
  return out
}

/** As {@link latin1} for exactly 32 bytes, at a third of the cost. */
export function latin1Of32(b: Uint8Array): string {
  const char = String.fromCharCode
  let out = ''
  for (let i = 0; i < 32; i += 8) {
    out += char(b[i]!, b[i + 1]!, b[i + 2]!, b[i + 3]!, b[i + 4]!, b[i + 5]!, b[i + 6]!, b[i + 7]!)
  }
  return out
}

/** A plain `Uint8Array` copy of bytes (never a `Buffer` on a pool), or the UTF-8 of text. */
export function ownBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? encodeText(value) : new Uint8Array(value)
}
