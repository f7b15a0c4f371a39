/** Where in a text of TOML tables and keys are, as far as that can be told line by line. */
export class TomlLines {
  readonly #lines = new Map<string, number>()

  constructor(text: string) {
    let table: readonly string[] = []
    let quotes: string | undefined
    for (const [index, line] of text.split('\n').entries()) {
      const inside = quotes !== undefined
      quotes = openQuotes(line, quotes)
      if (inside) continue
      const header = /^\s*\[\[?(.*?)\]\]?\s*(?:#.*)?$/.exec(line)
      if (header !== null) {
        table = keyParts(header[1]!)?.parts ?? []
        this.#mark(table, index + 1)
        continue
      }
      const key = keyParts(line)
      if (key?.next === '=') {
        const path = [...table, ...key.parts]
        this.#mark(path, index + 1)
        this.#markInline(path, line, index + 1)
      }
    }
  }

  /** The line of the longest part of a path that was seen, from 1. */
  find(path: readonly string[]): number | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length)))
      if (line !== undefined) return line
    }
    return undefined
  }

  #mark(path: readonly string[], line: number): void {
    for (let length = 1; length <= path.length; length += 1) {
      const name = JSON.stringify(path.slice(0, length))
      if (!this.#lines.has(name)) this.#lines.set(name, line)
    }
  }

  /** The names in `key = { a = 1, b = 2 }` that are at the line's first level. */
  #markInline(path: readonly string[], line: string, number: number): void {
    for (const [, name] of line.matchAll(/[{,]\s*([A-Za-z0-9_-]+)\s*=/g)) this.#mark([...path, name!], number)
  }
}

const PART = /^\s*(?:([A-Za-z0-9_-]+)|"((?:[^"\\]|\\.)*)"|'([^']*)')\s*/

/** A dotted key at the start of a text, and the character behind it. */
function keyParts(
  text: string,
): { readonly parts: readonly string[]; readonly next: string | undefined } | undefined {
  const parts: string[] = []
  for (let rest = text; ; rest = rest.slice(1)) {
    const found = PART.exec(rest)
    if (found === null) return undefined
    parts.push((found[1] ?? found[2] ?? found[3])!)
    rest = rest.slice(found[0].length)
    if (rest[0] !== '.') return { parts, next: rest[0] }
  }
}

/** Which multi-line quotes are open at the end of a line. */
function openQuotes(line: string, open: string | undefined): string | undefined {
  let quotes = open
  for (const [found] of line.matchAll(/"""|'''/g)) {
    if (quotes === undefined) quotes = found
    else if (quotes === found) quotes = undefined
  }
  return quotes
}
