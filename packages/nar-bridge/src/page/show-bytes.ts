import { escapeBytes } from '@neve/castore-model'
import { type Html, html } from './html.js'

const ESCAPE = /(\\(?:x[0-9a-f]{2}|u\{[0-9a-f]+\}|.))/

/**
 * A name or link target for people. What would not be seen, or would be taken for something else (controls, marks that
 * turn text around, bytes that are no UTF-8), is shown as an escape that stands out.
 */
export function showBytes(bytes: Uint8Array): Html {
  const parts = escapeBytes(bytes).split(ESCAPE)
  return html`${parts.map((part, i) => {
    if (i % 2 === 0) return part
    return part === '\\\\' || part === '\\"' ? part.slice(1) : html`<span class="odd">${part}</span>`
  })}`
}

/** Text of a file for people: lines stay lines, what would not be seen is shown as an escape. */
export function showText(text: string): Html {
  const parts = text.replaceAll('\r\n', '\n').split(/([^\P{C}\n\t]|[\u2028\u2029])/u)
  return html`${parts.map((part, i) =>
    i % 2 === 0 ? part : html`<span class="odd">\\u{${part.codePointAt(0)!.toString(16)}}</span>`,
  )}`
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A name or link target as members of a JSON object: `key` has the text. Where the bytes are no UTF-8, `key` has U+FFFD
 * in their place and `<key>Base64` has the exact bytes.
 */
export function jsonBytes(key: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [key]: strict.decode(bytes) }
  } catch {
    return { [key]: Buffer.from(bytes).toString(), [`${key}Base64`]: Buffer.from(bytes).toString('base64') }
  }
}
