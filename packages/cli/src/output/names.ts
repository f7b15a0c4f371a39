import { escapeBytes } from '@neve/castore-model'
import type { Output } from '../io.js'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/** A name or link target for an output: escaped for a terminal, which must not obey what is in a store, else as it is. */
export function shown(bytes: Uint8Array, output: Output): Uint8Array {
  return output.isTerminal ? Buffer.from(escapeBytes(bytes)) : bytes
}

/**
 * A name or link target as members of a JSON object: `key` has the text. Where the bytes are no UTF-8, `key` has U+FFFD
 * in their place and `<key>Base64` has the exact bytes.
 */
export function jsonBytes(key: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [key]: strict.decode(bytes) }
  } catch {
    return { [key]: lenient.decode(bytes), [`${key}Base64`]: Buffer.from(bytes).toString('base64') }
  }
}

/** One line of JSON; sizes beyond 2^53 keep all their digits. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? jsonNumber(member) : member))}\n`
}

// JSON has no limit for numbers, JavaScript has: what it cannot hold is given as text.
function jsonNumber(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value)
}
