import { B3Digest } from './b3-digest.js'
import { fromBase64, toBase64 } from './base64.js'
import { Directory, type DirectoryEntry } from './directory.js'
import { CastoreModelError } from './errors.js'
import type { Node } from './node.js'
import { PathComponent } from './path-component.js'
import { SymlinkTarget } from './symlink-target.js'
import { isU64 } from './u64.js'

/** A size: a number up to 2^53−1, a decimal string beyond. */
export type SizeJson = number | string

export type DirectoryNodeJson = { type: 'directory'; digest: string; size: SizeJson }
export type FileNodeJson = { type: 'file'; digest: string; size: SizeJson; executable: boolean }
/** The target stands in `target`, or as base64 in `targetBase64` when it is no UTF-8. */
export type SymlinkNodeJson = { type: 'symlink'; target: string } | { type: 'symlink'; targetBase64: string }
/** A node as JSON (spec 08 section 3.6); digests as `blake3-<base64>`. */
export type NodeJson = DirectoryNodeJson | FileNodeJson | SymlinkNodeJson
/** An entry: its node with `name`, or `nameBase64` when the name is no UTF-8. */
export type EntryJson = ({ name: string } | { nameBase64: string }) & NodeJson
export type DirectoryJson = { entries: EntryJson[] }

/** JSON that describes no node or directory; `path` says where, as in `entries[3].digest`. */
export class NodeJsonError extends CastoreModelError {
  readonly code = 'INVALID_NODE_JSON'

  constructor(
    readonly path: string,
    readonly expected: string,
    readonly actual: unknown,
    cause?: unknown,
  ) {
    const why = cause instanceof Error ? ` (${cause.message})` : ''
    super(
      `invalid node JSON at ${path || 'the top'}: expected ${expected}, got ${show(actual)}${why}`,
      cause === undefined ? undefined : { cause },
    )
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'an array' : typeof value
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function sizeToJson(size: bigint): SizeJson {
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : size.toString()
}

/** A node as a JSON value. */
export function nodeToJson(node: Node): NodeJson {
  if (node.kind === 'symlink') {
    const target = textOf(node.target.bytes)
    return target === undefined
      ? { type: 'symlink', targetBase64: toBase64(node.target.bytes) }
      : { type: 'symlink', target }
  }
  const digest = node.digest.toSri()
  const size = sizeToJson(node.size)
  return node.kind === 'directory'
    ? { type: 'directory', digest, size }
    : { type: 'file', digest, size, executable: node.executable }
}

/** A directory as a JSON value, entries in order of names. */
export function directoryToJson(directory: Directory): DirectoryJson {
  return {
    entries: directory.entries.map(({ name, node }) => {
      const text = textOf(name.bytes)
      const named = text === undefined ? { nameBase64: toBase64(name.bytes) } : { name: text }
      return { ...named, ...nodeToJson(node) }
    }),
  }
}

type Fields = Record<string, unknown>

function fieldsOf(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new NodeJsonError(path, 'an object', value)
  }
  return value as Fields
}

function at(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}

function onlyKeys(fields: Fields, path: string, known: readonly string[]): void {
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) throw new NodeJsonError(path, `only the keys ${known.join(', ')}`, key)
  }
}

function ownField(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

function text(fields: Fields, path: string, key: string): string {
  const value = ownField(fields, key)
  // A lone surrogate has no UTF-8: encoding it would give other bytes than were meant.
  if (typeof value !== 'string' || /\p{Cs}/u.test(value)) {
    throw new NodeJsonError(at(path, key), 'well-formed text', value)
  }
  return value
}

function parsed<T>(path: string, expected: string, actual: unknown, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (cause instanceof CastoreModelError) throw new NodeJsonError(path, expected, actual, cause)
    throw cause
  }
}

/** A field of bytes: as text under `key`, or as base64 under the key with `Base64` appended; exactly one of them. */
function bytesField<T>(
  fields: Fields,
  path: string,
  key: string,
  make: (value: Uint8Array | string) => T,
): T {
  const base64Key = `${key}Base64`
  if (!Object.hasOwn(fields, base64Key)) {
    const value = text(fields, path, key)
    return parsed(at(path, key), `a valid ${key}`, value, () => make(value))
  }
  if (Object.hasOwn(fields, key)) throw new NodeJsonError(path, `one of ${key} and ${base64Key}`, 'both')
  const encoded = text(fields, path, base64Key)
  const bytes = fromBase64(encoded)
  if (bytes === undefined) throw new NodeJsonError(at(path, base64Key), 'padded base64', encoded)
  return parsed(at(path, base64Key), `a valid ${key}`, encoded, () => make(bytes))
}

function digestField(fields: Fields, path: string): B3Digest {
  const value = text(fields, path, 'digest')
  return parsed(at(path, 'digest'), 'a BLAKE3 digest', value, () => B3Digest.parse(value))
}

function sizeField(fields: Fields, path: string): bigint {
  const value = ownField(fields, 'size')
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  if (typeof value === 'string' && /^(0|[1-9][0-9]{0,19})$/.test(value) && isU64(BigInt(value)))
    return BigInt(value)
  throw new NodeJsonError(
    at(path, 'size'),
    'an integer from 0 to 9007199254740991, or a decimal string up to 18446744073709551615',
    value,
  )
}

function readNode(fields: Fields, path: string, nameKeys: readonly string[]): Node {
  const type = ownField(fields, 'type')
  if (type === 'symlink') {
    onlyKeys(fields, path, [...nameKeys, 'type', 'target', 'targetBase64'])
    return { kind: 'symlink', target: bytesField(fields, path, 'target', SymlinkTarget.from) }
  }
  if (type === 'directory') {
    onlyKeys(fields, path, [...nameKeys, 'type', 'digest', 'size'])
    return { kind: 'directory', digest: digestField(fields, path), size: sizeField(fields, path) }
  }
  if (type !== 'file') throw new NodeJsonError(at(path, 'type'), "'directory', 'file' or 'symlink'", type)
  onlyKeys(fields, path, [...nameKeys, 'type', 'digest', 'size', 'executable'])
  const executable = ownField(fields, 'executable')
  if (typeof executable !== 'boolean')
    throw new NodeJsonError(at(path, 'executable'), 'true or false', executable)
  return { kind: 'file', digest: digestField(fields, path), size: sizeField(fields, path), executable }
}

/** Reads what {@link nodeToJson} gives; digests and sizes in any accepted form. Throws `NodeJsonError`. */
export function nodeFromJson(value: unknown): Node {
  return readNode(fieldsOf(value, ''), '', [])
}

/** Reads what {@link directoryToJson} gives, entries in any order. Throws `NodeJsonError`, or as `Directory.fromEntries`. */
export function directoryFromJson(value: unknown): Directory {
  const fields = fieldsOf(value, '')
  onlyKeys(fields, '', ['entries'])
  const entries = ownField(fields, 'entries')
  if (!Array.isArray(entries)) throw new NodeJsonError('entries', 'an array', entries)
  return Directory.fromEntries(
    entries.map((entry: unknown, index): DirectoryEntry => {
      const path = `entries[${index}]`
      const inner = fieldsOf(entry, path)
      return {
        name: bytesField(inner, path, 'name', PathComponent.from),
        node: readNode(inner, path, ['name', 'nameBase64']),
      }
    }),
  )
}
