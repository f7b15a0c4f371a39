import { ContentAddress } from './content-address.js'
import type { DerivationInit, DerivationOutput } from './derivation.js'
import { DerivationError } from './derivation-error.js'
import { digestSize, isHashAlgorithm } from './hash-algorithm.js'
import { decodeHex } from './hex.js'
import { NixHash } from './nix-hash.js'
import { StorePath } from './store-path.js'
import { StorePathError } from './store-path-error.js'
import { compareUtf8 } from './utf8-order.js'

/**
 * Reads the ATerm of a derivation. Only the form that Nix writes is accepted: sorted, without repetition, with exactly
 * the escapes that are needed, without a space or newline between or after.
 *
 * @throws DerivationError
 */
export function parseAterm(text: Uint8Array): DerivationInit {
  const input = new AtermInput(text)
  input.expect('Derive(')
  const outputs = input.list(readOutput)
  input.ascending(outputs, ([name]) => name)
  input.expect(',')
  const inputDerivations = input.list(readInputDerivation)
  input.ascending(inputDerivations, ({ path }) => path.toAbsolute())
  input.expect(',')
  const inputSources = input.list(readStorePath)
  input.ascending(inputSources, (path) => path.toAbsolute())
  input.expect(',')
  const system = input.string()
  input.expect(',')
  const builder = input.string()
  input.expect(',')
  const args = input.list(() => input.string())
  input.expect(',')
  const environment = input.list(readVariable)
  input.ascending(environment, ([name]) => name)
  input.expect(')')
  input.end()
  return { outputs, inputDerivations, inputSources, system, builder, args, environment }
}

function readOutput(input: AtermInput): readonly [string, DerivationOutput] {
  const position = input.position
  input.expect('(')
  const name = input.string()
  input.expect(',')
  const at = input.position
  const pathText = input.string()
  input.expect(',')
  const algorithm = input.string()
  input.expect(',')
  const digits = input.string()
  input.expect(')')
  const path = pathText === '' ? undefined : parsePath(pathText, at, 'invalid-output')
  return [name, { path, address: readAddress(name, algorithm, digits, position) }]
}

function readAddress(
  output: string,
  algorithmText: string,
  digits: string,
  position: number,
): ContentAddress | undefined {
  if (algorithmText === '' && digits === '') return undefined
  const method = algorithmText.startsWith('r:') ? 'recursive' : 'flat'
  const algorithm = method === 'recursive' ? algorithmText.slice(2) : algorithmText
  if (!isHashAlgorithm(algorithm)) {
    throw new DerivationError(
      'invalid-output',
      '[r:]md5, sha1, sha256 or sha512',
      JSON.stringify(algorithmText),
      {
        position,
        output,
      },
    )
  }
  if (digits === '') {
    throw new DerivationError('unsupported-output', 'a declared hash', 'a floating content address', {
      position,
      output,
    })
  }
  const digest = /[A-F]/.test(digits) ? undefined : decodeHex(digits)
  if (digest?.length !== digestSize(algorithm)) {
    throw new DerivationError(
      'invalid-output',
      `${digestSize(algorithm)} bytes in lower-case hex`,
      JSON.stringify(digits.slice(0, 200)),
      { position, output },
    )
  }
  return new ContentAddress(method, new NixHash(algorithm, digest))
}

function readInputDerivation(input: AtermInput): { path: StorePath; outputs: string[] } {
  input.expect('(')
  const path = readStorePath(input)
  input.expect(',')
  const outputs = input.list(() => input.string())
  input.ascending(outputs, (output) => output)
  input.expect(')')
  return { path, outputs }
}

function readVariable(input: AtermInput): readonly [string, Uint8Array] {
  input.expect('(')
  const name = input.string()
  input.expect(',')
  const value = input.bytes()
  input.expect(')')
  return [name, value]
}

function readStorePath(input: AtermInput): StorePath {
  const position = input.position
  return parsePath(input.string(), position, 'invalid-input')
}

function parsePath(text: string, position: number, code: 'invalid-output' | 'invalid-input'): StorePath {
  try {
    return StorePath.parseAbsolute(text)
  } catch (cause) {
    if (!(cause instanceof StorePathError)) throw cause
    throw new DerivationError(code, 'an absolute store path', JSON.stringify(text.slice(0, 300)), {
      position,
      cause,
    })
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const escaped: ReadonlyMap<number, number> = new Map([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
])
const mustBeEscaped: ReadonlySet<number> = new Set([0x0a, 0x0d, 0x09])

class AtermInput {
  readonly #text: Uint8Array
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  position = 0

  constructor(text: Uint8Array) {
    this.#text = text
  }

  expect(token: string): void {
    for (let i = 0; i < token.length; i++) {
      if (this.#text[this.position + i] !== token.charCodeAt(i)) {
        throw this.#syntax(JSON.stringify(token), this.position + i)
      }
    }
    this.position += token.length
  }

  end(): void {
    if (this.position < this.#text.length) throw this.#syntax('the end', this.position)
  }

  list<Item>(read: (input: AtermInput) => Item): Item[] {
    const items: Item[] = []
    this.expect('[')
    while (this.#text[this.position] !== 0x5d) {
      if (items.length > 0) this.expect(',')
      items.push(read(this))
    }
    this.expect(']')
    return items
  }

  string(): string {
    const position = this.position
    const bytes = this.bytes()
    try {
      return this.#decoder.decode(bytes)
    } catch (cause) {
      throw new DerivationError('not-utf8', 'UTF-8', 'other bytes', { position, cause })
    }
  }

  bytes(): Uint8Array {
    this.expect('"')
    const start = this.position
    const text = this.#text
    let end = start
    let escapes = 0
    for (; text[end] !== QUOTE; end++) {
      if (text[end] === BACKSLASH) {
        end++
        escapes++
        if (!escaped.has(text[end] ?? -1)) throw this.#syntax('one of " \\ n r t after a backslash', end)
      } else if (text[end] === undefined || mustBeEscaped.has(text[end]!)) {
        throw this.#syntax('a closing quote or a character that needs no escape', end)
      }
    }
    this.position = end + 1
    const bytes = new Uint8Array(end - start - escapes)
    for (let i = start, k = 0; i < end; i++, k++) {
      bytes[k] = text[i] === BACKSLASH ? escaped.get(text[++i]!)! : text[i]!
    }
    return bytes
  }

  /** Refuses items whose keys do not ascend strictly. */
  ascending<Item>(items: readonly Item[], keyOf: (item: Item) => string): void {
    for (let i = 1; i < items.length; i++) {
      const [previous, key] = [keyOf(items[i - 1]!), keyOf(items[i]!)]
      if (compareUtf8(previous, key) < 0) continue
      throw new DerivationError(
        'out-of-order',
        `an entry after ${JSON.stringify(previous)}`,
        JSON.stringify(key),
        {
          position: this.position,
        },
      )
    }
  }

  #syntax(expected: string, position: number): DerivationError {
    const byte = this.#text[position]
    const actual = byte === undefined ? 'the end' : JSON.stringify(String.fromCharCode(byte))
    return new DerivationError('syntax', expected, actual, { position })
  }
}
