import { ContentAddress } from './content-address.js'
import { decodeHex } from './hex.js'
import type { NarInfo } from './narinfo.js'
import { NarInfoError, type NarInfoErrorCode } from './narinfo-error.js'
import { NixHash } from './nix-hash.js'
import { decodeNixbase32 } from './nixbase32.js'
import { Signature } from './signature.js'
import { StorePath } from './store-path.js'

/**
 * What is unusual about a narinfo text, but understood:
 * - `unknown-field`: a key that means nothing here
 * - `missing-compression`: read as bzip2, as Nix does
 * - `hex-nar-hash`: the NAR hash is in hex
 * - `missing-references`: there is no such line; read as none
 * - `unordered-references`: not sorted, or one is there twice; they are kept as they stand
 * - `unknown-deriver`: `Deriver: unknown-deriver`; read as none
 */
export type NarInfoQuirk =
  | 'unknown-field'
  | 'missing-compression'
  | 'hex-nar-hash'
  | 'missing-references'
  | 'unordered-references'
  | 'unknown-deriver'

/** What {@link parseNarInfo} found. */
export interface ParsedNarInfo extends NarInfo {
  readonly quirks: ReadonlySet<NarInfoQuirk>
}

/** The longest narinfo to read, in bytes: room for tens of thousands of references. */
export const MAX_NARINFO_LENGTH = 4 * 1024 * 1024

const KEYS = new Set(
  'StorePath URL Compression FileHash FileSize NarHash NarSize References Deriver System Sig CA'.split(' '),
)

/** One line that counts. */
interface Field {
  readonly key: string
  readonly value: string
  readonly line: number
}

/**
 * Reads the text of a narinfo file (spec 07 section 10.3, spec 09 section 12.2): strict about what it knows, silent about
 * keys that it does not.
 *
 * @param text UTF-8 when given as bytes
 * @throws NarInfoError
 */
export function parseNarInfo(text: string | Uint8Array): ParsedNarInfo {
  const quirks = new Set<NarInfoQuirk>()
  const { fields, signatures } = readLines(asText(text), quirks)
  const compression = fields.get('Compression')
  if (compression === undefined) quirks.add('missing-compression')
  const optional = <T>(key: string, read: (field: Field) => T): T | undefined => {
    const field = fields.get(key)
    return field === undefined ? undefined : read(field)
  }
  const mandatory = (key: string): Field => {
    const field = fields.get(key)
    if (field === undefined) throw new NarInfoError('missing-field', 'expected this line', { field: key })
    return field
  }
  return {
    storePath: attempt(mandatory('StorePath'), StorePath.parseAbsolute),
    url: token(mandatory('URL')),
    compression: compression === undefined ? 'bzip2' : token(compression),
    fileHash: optional('FileHash', (field) => sha256(field)),
    fileSize: optional('FileSize', number),
    narHash: sha256(mandatory('NarHash'), quirks),
    narSize: positive(mandatory('NarSize')),
    references: references(fields.get('References'), quirks),
    deriver: optional('Deriver', (field) => deriver(field, quirks)),
    system: optional('System', token),
    signatures: signatures.map((field) => attempt(field, Signature.parse)),
    ca: optional('CA', (field) => attempt(field, ContentAddress.parse)),
    quirks,
  }
}

function asText(text: string | Uint8Array): string {
  // What UTF-16 has in one unit, UTF-8 has in one byte or more.
  if (text.length > MAX_NARINFO_LENGTH) {
    throw new NarInfoError('too-long', `expected at most ${MAX_NARINFO_LENGTH} bytes, got ${text.length}`)
  }
  if (typeof text === 'string') return text
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text)
  } catch (cause) {
    throw new NarInfoError('invalid-line', 'expected UTF-8', { cause })
  }
}

function readLines(
  text: string,
  quirks: Set<NarInfoQuirk>,
): { readonly fields: ReadonlyMap<string, Field>; readonly signatures: readonly Field[] } {
  const fields = new Map<string, Field>()
  const signatures: Field[] = []
  let line = 0
  for (let at = 0; at < text.length; ) {
    line++
    const end = text.indexOf('\n', at)
    if (end < 0) throw new NarInfoError('invalid-line', 'expected a line end after the last line', { line })
    const parts = /^([^:]+): (|[^ ].*)$/s.exec(text.slice(at, end))
    if (parts === null) {
      const shown = JSON.stringify(text.slice(at, Math.min(end, at + 100)))
      throw new NarInfoError('invalid-line', `expected 'Key: value', got ${shown}`, { line })
    }
    at = end + 1
    const [, key, value] = parts as unknown as [string, string, string]
    if (key === 'Sig') signatures.push({ key, value, line })
    else if (!KEYS.has(key)) quirks.add('unknown-field')
    else if (fields.has(key)) throw refused('duplicate-field', { key, value, line }, 'is there twice')
    else fields.set(key, { key, value, line })
  }
  return { fields, signatures }
}

/** A word: text without blanks and control characters, which can be written on a line again. */
function token(field: Field): string {
  if (field.value === '') throw refused('empty-field', field, 'expected a value, got none')
  if (!/^[^\s\p{C}]+$/u.test(field.value)) throw invalid(field, 'text without blanks and control characters')
  return field.value
}

function sha256(field: Field, quirks?: Set<NarInfoQuirk>): NixHash {
  const parts = /^sha256:(.*)$/s.exec(field.value)
  const digits = parts?.[1]
  if (digits === undefined) throw invalid(field, 'sha256:…')
  if (quirks !== undefined && /^[0-9a-f]{64}$/.test(digits)) {
    quirks.add('hex-nar-hash')
    return new NixHash('sha256', decodeHex(digits)!)
  }
  return attempt(field, () => new NixHash('sha256', decodeNixbase32(digits, 32)))
}

function number(field: Field): bigint {
  const value = /^(0|[1-9][0-9]{0,19})$/.test(field.value) ? BigInt(field.value) : undefined
  if (value === undefined || value >= 2n ** 64n) throw invalid(field, 'a decimal number below 2^64')
  return value
}

function positive(field: Field): bigint {
  const value = number(field)
  if (value === 0n) throw invalid(field, 'a positive number')
  return value
}

function references(field: Field | undefined, quirks: Set<NarInfoQuirk>): readonly StorePath[] {
  if (field === undefined) quirks.add('missing-references')
  if (field === undefined || field.value === '') return []
  const paths = field.value.split(' ').map((name) => attempt(field, () => StorePath.parse(name)))
  if (paths.some((path, i) => i > 0 && StorePath.compare(paths[i - 1]!, path) >= 0)) {
    quirks.add('unordered-references')
  }
  return paths
}

function deriver(field: Field, quirks: Set<NarInfoQuirk>): StorePath | undefined {
  if (field.value === 'unknown-deriver') {
    quirks.add('unknown-deriver')
    return undefined
  }
  if (!field.value.endsWith('.drv')) throw invalid(field, 'a name that ends in .drv')
  // Without the suffix it has to have a name too.
  attempt(field, () => StorePath.parse(field.value.slice(0, -'.drv'.length)))
  return attempt(field, () => StorePath.parse(field.value))
}

function attempt<T>(field: Field, read: (value: string) => T): T {
  try {
    return read(field.value)
  } catch (cause) {
    throw refused('invalid-field', field, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function invalid(field: Field, expected: string): NarInfoError {
  const shown = JSON.stringify(field.value.length > 200 ? `${field.value.slice(0, 200)}…` : field.value)
  return refused('invalid-field', field, `expected ${expected}, got ${shown}`)
}

function refused(
  code: NarInfoErrorCode,
  { key, line }: Field,
  detail: string,
  cause?: unknown,
): NarInfoError {
  return new NarInfoError(code, detail, { field: key, line, cause })
}
