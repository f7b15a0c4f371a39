import { digest } from '#digest'
import { ContentAddress } from './content-address.js'
import { encodeHex } from './hex.js'
import { NixHash } from './nix-hash.js'
import { encodeNixbase32 } from './nixbase32.js'
import { STORE_DIR, STORE_PATH_DIGEST_SIZE, StorePath } from './store-path.js'
import { StorePathError } from './store-path-error.js'

/**
 * Why no path was built:
 * - `invalid-reference`: references, or a reference to itself, where the kind of object takes none
 * - `invalid-store-path`: the name is not one that store paths have; the cause is a `StorePathError`
 */
export type BuildStorePathErrorCode = 'invalid-reference' | 'invalid-store-path'

export class BuildStorePathError extends Error {
  override readonly name = 'BuildStorePathError'
  readonly code: BuildStorePathErrorCode
  /** The name that the store path was to have. */
  readonly pathName: string

  constructor(code: BuildStorePathErrorCode, pathName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.pathName = pathName
  }
}

/** What an object refers to. Order and repetition do not matter: references are sorted and made unique. */
export interface References {
  /** Default: none. */
  readonly references?: Iterable<StorePath>
  /** Whether the object refers to its own path. Default: false. */
  readonly self?: boolean
}

/**
 * The store path of a content-addressed object (spec 09 section 10).
 *
 * Recursive SHA-256 takes references and a reference to itself, text takes references only, everything else takes
 * neither.
 *
 * @throws BuildStorePathError
 */
export function buildStorePath(
  name: string,
  address: ContentAddress,
  { references = [], self = false }: References = {},
): StorePath {
  const sorted = sortedUnique(references)
  const { method, hash } = address
  if (method === 'text') {
    if (self) throw invalidReference(name, 'a text', 'a reference to itself')
    return storePathOfType(name, ['text', ...sorted].join(':'), hash.digest)
  }
  if (method === 'recursive' && hash.algorithm === 'sha256') {
    return storePathOfType(name, ['source', ...sorted, ...(self ? ['self'] : [])].join(':'), hash.digest)
  }
  if (sorted.length > 0 || self) {
    const kind = `a fixed output (${method}, ${hash.algorithm})`
    throw invalidReference(name, kind, self ? 'a reference to itself' : sorted.join(', '))
  }
  return storePathOfType(name, 'output:out', digest('sha256', utf8(`${fixedOutputFingerprint(address)}:`)))
}

/** The store path of a text: `builtins.toFile`, a `.drv` file. @throws BuildStorePathError `invalid-store-path` */
export function textStorePath(
  name: string,
  contents: Uint8Array,
  references: Iterable<StorePath> = [],
): StorePath {
  return buildStorePath(name, new ContentAddress('text', NixHash.of('sha256', contents)), { references })
}

/**
 * The store path of an imported source, from the SHA-256 of its NAR.
 *
 * @param narSha256 32 bytes
 * @throws BuildStorePathError
 */
export function narStorePath(name: string, narSha256: Uint8Array, references: References = {}): StorePath {
  return buildStorePath(name, new ContentAddress('recursive', new NixHash('sha256', narSha256)), references)
}

/**
 * The store path of an input-addressed derivation's output.
 *
 * @param modulo the derivation's hash modulo (spec 09 section 11), 32 bytes
 * @throws BuildStorePathError `invalid-store-path`
 */
export function outputStorePath(derivationName: string, outputName: string, modulo: Uint8Array): StorePath {
  return storePathOfType(outputPathName(derivationName, outputName), `output:${outputName}`, modulo)
}

/** The name part of an output's path: the derivation's name, followed by the output's unless that is `out`. */
export function outputPathName(derivationName: string, outputName: string): string {
  return outputName === 'out' ? derivationName : `${derivationName}-${outputName}`
}

/**
 * What stands for an output's path in a derivation before that path is known: an absolute path, of 52 characters
 * after the slash (spec 09 section 10.2).
 */
export function placeholder(outputName: string): string {
  return `/${encodeNixbase32(digest('sha256', utf8(`nix-output:${outputName}`)))}`
}

/** `fixed:out:[r:]<algorithm>:<hex>`, the beginning that the fingerprints of fixed outputs share. */
export function fixedOutputFingerprint({ method, hash }: ContentAddress): string {
  return `fixed:out:${method === 'recursive' ? 'r:' : ''}${hash.algorithm}:${hash.toHex()}`
}

/**
 * The core of all of them: the path of which `<type>:sha256:<hex of inner>:/nix/store:<name>` is the fingerprint.
 *
 * @param inner 32 bytes
 * @throws BuildStorePathError `invalid-store-path`
 */
export function storePathOfType(name: string, type: string, inner: Uint8Array): StorePath {
  const fingerprint = `${type}:sha256:${encodeHex(inner)}:${STORE_DIR}:${name}`
  try {
    return new StorePath(foldDigest(digest('sha256', utf8(fingerprint)), STORE_PATH_DIGEST_SIZE), name)
  } catch (cause) {
    if (!(cause instanceof StorePathError)) throw cause
    throw new BuildStorePathError('invalid-store-path', name, cause.message, { cause })
  }
}

/** Shortens a digest to `size` bytes by XOR of byte i onto byte i mod `size`; a longer size is filled with zeros. */
export function foldDigest(digest: Uint8Array, size: number): Uint8Array {
  const folded = new Uint8Array(size)
  for (const [i, byte] of digest.entries()) folded[i % size]! ^= byte
  return folded
}

function sortedUnique(references: Iterable<StorePath>): string[] {
  return [...new Set([...references].map((path) => path.toAbsolute()))].sort()
}

function invalidReference(name: string, kind: string, actual: string): BuildStorePathError {
  return new BuildStorePathError(
    'invalid-reference',
    name,
    `store path of ${JSON.stringify(name)}: expected no such reference for ${kind}, got ${actual}`,
  )
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
