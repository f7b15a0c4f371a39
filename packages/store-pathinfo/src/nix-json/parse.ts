import {
  ContentAddress,
  type ContentAddressMethod,
  isHashAlgorithm,
  NixHash,
  Signature,
  STORE_DIR,
  StorePath,
} from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { PathMetadata } from '../path-info-service.js'

/** Of what is quoted in messages, so much, in characters. */
const SHOWN = 200

/**
 * Reads what Nix writes about store paths (spec 08 section 3.3; section 11.6 of spec 07), in any of its forms, told apart
 * by their content:
 * - a list of objects with `path`: `nix path-info --json` before 2.19, of Lix, and of reference graphs
 * - an object with such a list as `closure`: the structured attributes of a build with `exportReferencesGraph.closure`
 * - an object keyed by store paths: `nix path-info --json` from 2.19 on, `--json-format 1`
 * - an object with `info`, keyed by base names: `--json-format 2`
 * - one object with `path`
 *
 * Hashes are `sha256:` and nixbase32 or hex, SRI, or objects with `algorithm`, `format` and `hash`. Members that nobody
 * needs here are ignored. A deriver loses its `.drv`.
 *
 * @returns in the order of the text
 * @throws StoreError `invalid-input`, which names the path and the member
 */
export function parseNixPathInfos(text: string): PathMetadata[] {
  const document = parseJson(text)
  if (Array.isArray(document)) return document.map((value, index) => ofList(value, `entry ${index}`))
  const object = objectOf(document, 'the document')
  const { closure, info, path, version, storeDir, ...paths } = object
  if (Array.isArray(closure)) return closure.map((value, index) => ofList(value, `closure[${index}]`))
  if (typeof path === 'string') return [ofList(object, 'the document')]
  const isNested = info !== undefined
  if (version !== undefined && version !== (isNested ? 2 : 1)) {
    throw refused('the document', 'version', isNested ? '2' : '1', version)
  }
  checkStoreDir(storeDir, 'the document')
  const keyed = isNested ? objectOf(info, 'info') : paths
  return Object.entries(keyed).map(([key, value]) => ofValue(key, value, JSON.stringify(key)))
}

/**
 * Reads one line of a stream of such objects, a store path each, with `path`.
 *
 * @param line its number, from 1 on, for messages
 * @throws StoreError `invalid-input`
 */
export function parseNixPathInfoLine(text: string, line: number): PathMetadata {
  try {
    return ofList(parseJson(text), 'the object')
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw new StoreError('invalid-input', `line ${line}: ${error.message}`, undefined, { cause: error })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError('invalid-input', `expected JSON: ${reason}`, undefined, { cause: error })
  }
}

function ofList(value: unknown, where: string): PathMetadata {
  const { path } = objectOf(value, where)
  if (typeof path !== 'string') throw refused(where, 'path', 'a store path', path)
  return ofValue(path, value, where)
}

function ofValue(path: string, value: unknown, where: string): PathMetadata {
  const storePath = pathOf(path, where, 'path')
  const shown = storePath.toAbsolute()
  if (value === null || objectOf(value, shown)['valid'] === false) {
    throw new StoreError('invalid-input', `${shown} is not valid where this comes from`)
  }
  const { narHash, narSize, references, deriver, signatures, ca, storeDir } = objectOf(value, shown)
  checkStoreDir(storeDir, shown)
  const hash = hashOf(narHash, shown, 'narHash')
  if (hash.algorithm !== 'sha256') throw refused(shown, 'narHash', 'SHA-256', narHash)
  if (typeof narSize !== 'number' || !Number.isSafeInteger(narSize) || narSize <= 0) {
    throw refused(shown, 'narSize', 'a number of bytes', narSize)
  }
  return {
    storePath,
    narSha256: hash.digest,
    narSize: BigInt(narSize),
    references: referencesOf(references, shown),
    deriver: deriverOf(deriver, shown),
    signatures: signaturesOf(signatures, shown),
    ca: caOf(ca, shown),
  }
}

function referencesOf(value: unknown, where: string): StorePath[] {
  const paths = listOf(value, where, 'references').map((path) => pathOf(path, where, 'references'))
  const unique = new Map(paths.map((path) => [path.toString(), path]))
  return [...unique.values()].sort(StorePath.compare)
}

function deriverOf(value: unknown, where: string): StorePath | undefined {
  if (value === undefined || value === null || value === '' || value === 'unknown-deriver') return undefined
  const path = pathOf(value, where, 'deriver')
  if (!path.name.endsWith('.drv')) throw refused(where, 'deriver', 'a path that ends in .drv', value)
  return attempt(
    () => new StorePath(path.digest, path.name.slice(0, -'.drv'.length)),
    where,
    'deriver',
    value,
  )
}

function signaturesOf(value: unknown, where: string): Signature[] {
  return listOf(value, where, 'signatures').map((one) => {
    if (typeof one === 'string') return attempt(() => Signature.parse(one), where, 'signatures', one)
    const { keyName, sig } = objectOf(one, `${where}: signatures`)
    const text = `${keyName}:${sig}`
    return attempt(() => Signature.parse(text), where, 'signatures', text)
  })
}

/** What content addresses are called in their newer form. */
const METHODS: Readonly<Record<string, ContentAddressMethod>> = {
  text: 'text',
  flat: 'flat',
  nar: 'recursive',
}

function caOf(value: unknown, where: string): ContentAddress | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return attempt(() => ContentAddress.parse(value), where, 'ca', value)
  const { method, hash } = objectOf(value, `${where}: ca`)
  const known = typeof method === 'string' && Object.hasOwn(METHODS, method) ? METHODS[method] : undefined
  if (known === undefined) throw refused(where, 'ca', 'method text, flat or nar', method)
  return attempt(() => new ContentAddress(known, hashOf(hash, where, 'ca')), where, 'ca', value)
}

function hashOf(value: unknown, where: string, member: string): NixHash {
  if (typeof value === 'string') return attempt(() => NixHash.parse(value), where, member, value)
  if (typeof value !== 'object' || value === null) throw refused(where, member, 'a hash', value)
  const { algorithm, hash } = objectOf(value, `${where}: ${member}`)
  if (typeof algorithm !== 'string' || !isHashAlgorithm(algorithm) || typeof hash !== 'string') {
    throw refused(where, member, 'a hash', value)
  }
  // What `format` says, the length of the digest says too.
  return attempt(() => NixHash.parse(hash, algorithm), where, member, hash)
}

/** A store path, absolute or a base name. */
function pathOf(value: unknown, where: string, member: string): StorePath {
  if (typeof value !== 'string') throw refused(where, member, 'a store path', value)
  const parse = value.startsWith('/') ? StorePath.parseAbsolute : StorePath.parse
  return attempt(() => parse(value), where, member, value)
}

function checkStoreDir(value: unknown, where: string): void {
  if (value !== undefined && value !== STORE_DIR) throw refused(where, 'storeDir', STORE_DIR, value)
}

function listOf(value: unknown, where: string, member: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw refused(where, member, 'a list', value)
  return value
}

function objectOf(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  throw new StoreError('invalid-input', `${where}: expected an object, got ${shownValue(value)}`)
}

function attempt<T>(parse: () => T, where: string, member: string, value: unknown): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const message = `${where}: ${member} ${shownValue(value)}: ${error.message}`
    throw new StoreError('invalid-input', message, undefined, { cause: error })
  }
}

function refused(where: string, member: string, expected: string, actual: unknown): StoreError {
  return new StoreError(
    'invalid-input',
    `${where}: ${member}: expected ${expected}, got ${shownValue(actual)}`,
  )
}

function shownValue(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
