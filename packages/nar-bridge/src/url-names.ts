import { PathComponent, PathComponentError } from '@neve/castore-model'

const PLAIN = /[A-Za-z0-9\-._~+=,@]/

/** A name as a part of a URL's path: every byte that could mean something else is percent-encoded. */
export function encodeName(name: Uint8Array | string): string {
  let text = ''
  for (const byte of typeof name === 'string' ? Buffer.from(name) : name) {
    const character = String.fromCharCode(byte)
    text += PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/** {@link encodeName} of each, joined by slashes. */
export function encodeNames(names: readonly (PathComponent | Uint8Array | string)[]): string {
  return names.map((name) => encodeName(name instanceof PathComponent ? name.bytes : name)).join('/')
}

/**
 * Reads the names in a URL's path, each percent-decoded on its own: an encoded slash does not separate anything.
 *
 * @param path without slashes around it
 * @returns undefined when one of them is no name: empty, `.`, `..`, with a slash, a NUL or a broken escape
 */
export function decodeNames(path: string): readonly PathComponent[] | undefined {
  if (path === '') return []
  const names: PathComponent[] = []
  for (const part of path.split('/')) {
    const bytes = percentDecoded(part)
    if (bytes === undefined) return undefined
    try {
      names.push(PathComponent.adopt(bytes))
    } catch (error) {
      if (error instanceof PathComponentError) return undefined
      throw error
    }
  }
  return names
}

function percentDecoded(text: string): Uint8Array | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  const raw = Buffer.from(text)
  const bytes = new Uint8Array(raw.length)
  let length = 0
  for (let at = 0; at < raw.length; at++) {
    const isEscape = raw[at] === 0x25
    bytes[length++] = isEscape ? Number.parseInt(raw.toString('latin1', at + 1, at + 3), 16) : raw[at]!
    if (isEscape) at += 2
  }
  return bytes.slice(0, length)
}
