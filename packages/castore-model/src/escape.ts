const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const NAMED: Record<string, string> = {
  '\0': '\\0',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
}

const UNSAFE = /["\\]|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu

/** Length of the well-formed UTF-8 sequence that may start at `at`, by its first byte alone; 0 when none can. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1
  if (first >= 0xc2 && first <= 0xdf) return 2
  if (first >= 0xe0 && first <= 0xef) return 3
  if (first >= 0xf0 && first <= 0xf4) return 4
  return 0
}

function escapeText(text: string): string {
  return text.replace(UNSAFE, (char) => NAMED[char] ?? `\\u{${char.codePointAt(0)?.toString(16)}}`)
}

/**
 * Bytes as text for people: valid UTF-8 as it is, quotes, backslashes, control and invisible characters escaped, bytes that are
 * no UTF-8 as `\xNN`. Always safe to print on a terminal; not meant to be parsed back.
 */
export function escapeBytes(bytes: Uint8Array): string {
  try {
    return escapeText(decoder.decode(bytes))
  } catch {
    return escapeMixed(bytes)
  }
}

function escapeMixed(bytes: Uint8Array): string {
  let out = ''
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!)
    try {
      if (length === 0 || at + length > bytes.length) throw new RangeError()
      out += escapeText(decoder.decode(bytes.subarray(at, at + length)))
      at += length
    } catch {
      out += `\\x${bytes[at]!.toString(16).padStart(2, '0')}`
      at += 1
    }
  }
  return out
}
