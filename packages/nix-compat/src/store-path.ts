import { decodeNixbase32, encodeNixbase32 } from './nixbase32.js'
import { StorePathError } from './store-path-error.js'
import { validateName } from './store-path-name.js'

/**
 * Where store paths live. It is part of every fingerprint, and so of every digest: a store in another place would be
 * another world of names, hence it cannot be changed.
 */
export const STORE_DIR = '/nix/store'

/** The length of a store path's digest in bytes. */
export const STORE_PATH_DIGEST_SIZE = 20

const DIGEST_CHARACTERS = 32

/** A store path: a digest of 20 bytes and a name (spec 09 section 9). Immutable. */
export class StorePath {
  /** The 20 bytes. They belong to this object: do not write to them. */
  readonly digest: Uint8Array
  readonly name: string
  #text: string | undefined

  /**
   * @param digest 20 bytes, copied
   * @throws StorePathError `invalid-length`, `invalid-name`
   */
  constructor(digest: Uint8Array, name: string) {
    if (digest.length !== STORE_PATH_DIGEST_SIZE) {
      throw new StorePathError('invalid-length', {
        path: name,
        expected: `a digest of ${STORE_PATH_DIGEST_SIZE} bytes`,
        actual: `${digest.length}`,
      })
    }
    validateName(name)
    this.digest = new Uint8Array(digest)
    this.name = name
  }

  /**
   * Reads a base name, `<32 characters of nixbase32>-<name>`, given as text or as bytes.
   *
   * @throws StorePathError with the code of the first check that fails, in the order of spec 09 section 9
   */
  static parse(baseName: string | Uint8Array): StorePath {
    const text = asText(baseName)
    const shortest = DIGEST_CHARACTERS + 2
    if (text.length < shortest) {
      throw new StorePathError('invalid-length', {
        path: text,
        expected: `at least ${shortest} bytes`,
        actual: `${text.length}`,
      })
    }
    const digest = decodeDigest(text)
    if (text[DIGEST_CHARACTERS] !== '-') {
      throw new StorePathError('missing-dash', {
        path: text,
        expected: `"-" at ${DIGEST_CHARACTERS}`,
        actual: JSON.stringify(text[DIGEST_CHARACTERS]),
      })
    }
    return new StorePath(digest, text.slice(DIGEST_CHARACTERS + 1))
  }

  /**
   * Reads `/nix/store/<base name>`. A slash after the base name is refused like any other byte that names may not have.
   *
   * @throws StorePathError
   */
  static parseAbsolute(path: string | Uint8Array): StorePath {
    return StorePath.parse(withoutStoreDir(asText(path)))
  }

  /**
   * Reads an absolute path that leads to a store path or to something within it. `rest` is what follows, relative,
   * without a slash at either end; empty when nothing follows. Repeated slashes count as one.
   *
   * @throws StorePathError about the part that names the store path; `rest` is not judged
   */
  static parseFull(path: string): { readonly storePath: StorePath; readonly rest: string }
  static parseFull(path: Uint8Array): { readonly storePath: StorePath; readonly rest: Uint8Array }
  static parseFull(path: string | Uint8Array): { storePath: StorePath; rest: string | Uint8Array } {
    const [baseName, ...components] = withoutStoreDir(asText(path)).split('/')
    const rest = components.filter((component) => component !== '').join('/')
    return {
      storePath: StorePath.parse(baseName!),
      rest: typeof path === 'string' ? rest : Uint8Array.from(rest, (character) => character.charCodeAt(0)),
    }
  }

  /** By base name, which is how Nix orders references. The order of the raw digests is a different one. */
  static compare(left: StorePath, right: StorePath): number {
    const [a, b] = [left.toString(), right.toString()]
    return a < b ? -1 : a > b ? 1 : 0
  }

  /** The base name, `<digest in nixbase32>-<name>`. */
  toString(): string {
    this.#text ??= `${encodeNixbase32(this.digest)}-${this.name}`
    return this.#text
  }

  /** `/nix/store/<base name>`. */
  toAbsolute(): string {
    return `${STORE_DIR}/${this.toString()}`
  }

  toJSON(): string {
    return this.toAbsolute()
  }

  equals(other: StorePath): boolean {
    return this.toString() === other.toString()
  }
}

/** Bytes become one character each, so that positions in the text are positions in the bytes. */
function asText(path: string | Uint8Array): string {
  if (typeof path === 'string') return path
  let text = ''
  for (const byte of path) text += String.fromCharCode(byte)
  return text
}

function withoutStoreDir(path: string): string {
  const prefix = `${STORE_DIR}/`
  if (path.startsWith(prefix)) return path.slice(prefix.length)
  throw new StorePathError('missing-store-dir', {
    path,
    expected: `a path that begins with ${prefix}`,
    actual: JSON.stringify(path.slice(0, prefix.length)),
  })
}

function decodeDigest(text: string): Uint8Array {
  const encoded = text.slice(0, DIGEST_CHARACTERS)
  try {
    return decodeNixbase32(encoded, STORE_PATH_DIGEST_SIZE)
  } catch (cause) {
    throw new StorePathError('invalid-hash-encoding', {
      path: text,
      expected: `${DIGEST_CHARACTERS} characters of nixbase32`,
      actual: JSON.stringify(encoded),
      cause,
    })
  }
}
