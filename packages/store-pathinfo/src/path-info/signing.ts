import { open } from 'node:fs/promises'
import type { CallOptions } from '@neve/castore-services'
import { SecretKey } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { type PathInfo, pathInfoFingerprint } from '../path-info.js'
import type {
  ListPathInfosOptions,
  NarCalculationService,
  PathInfoService,
  PutPathInfoOptions,
} from '../path-info-service.js'

/** What is stored through it is signed (spec 07 section 13.5), unless this key has signed it already. */
export class SigningPathInfoService implements PathInfoService {
  readonly #inner: PathInfoService
  readonly #key: SecretKey

  /** @param inner stays the caller's, who closes it */
  constructor(inner: PathInfoService, key: SecretKey) {
    this.#inner = inner
    this.#key = key
  }

  get narCalculation(): NarCalculationService | undefined {
    return this.#inner.narCalculation
  }

  async get(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined> {
    return this.#inner.get(digest, options)
  }

  async has(digest: Uint8Array, options?: CallOptions): Promise<boolean> {
    return this.#inner.has(digest, options)
  }

  async put(info: PathInfo, options?: PutPathInfoOptions): Promise<PathInfo> {
    return this.#inner.put(signPathInfo(info, this.#key), options)
  }

  list(options?: ListPathInfosOptions): AsyncIterable<PathInfo> {
    return this.#inner.list(options)
  }
}

/** A path info with the signature of a key, the last of its signatures; itself, when a valid one of it is there. */
export function signPathInfo(info: PathInfo, key: SecretKey): PathInfo {
  const text = pathInfoFingerprint(info)
  if (info.signatures.some((signature) => key.publicKey.verify(text, signature))) return info
  return { ...info, signatures: [...info.signatures, key.sign(text)] }
}

/** How many signatures {@link signStored} added, and what is stored now. */
export interface SignedPath {
  readonly info: PathInfo
  readonly added: number
}

/**
 * Adds the signatures of keys to a path info that is stored, those of others kept. A key that has signed it already adds
 * nothing, and when none does, nothing is written.
 *
 * @throws StoreError as `put` does
 */
export async function signStored(
  pathInfos: Pick<PathInfoService, 'put'>,
  info: PathInfo,
  keys: readonly SecretKey[],
  options: CallOptions = {},
): Promise<SignedPath> {
  const signed = keys.reduce(signPathInfo, info)
  const added = signed.signatures.length - info.signatures.length
  return { info: added === 0 ? info : await pathInfos.put(signed, options), added }
}

/** No key file is longer, in bytes. */
const MAX_KEY_FILE = 4096

/**
 * Reads a file with a secret key, `<name>:<base64>`, as Nix makes it.
 *
 * @throws StoreError `invalid-key`, with nothing of the file in its message
 */
export async function readKeyFile(path: string): Promise<SecretKey> {
  try {
    await using file = await open(path)
    const buffer = Buffer.alloc(MAX_KEY_FILE + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    if (bytesRead > MAX_KEY_FILE) throw new Error(`expected at most ${MAX_KEY_FILE} bytes`)
    return SecretKey.parse(buffer.toString('utf8', 0, bytesRead))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError('invalid-key', `cannot use the key file ${path}: ${reason}`, undefined, {
      cause: error,
    })
  }
}
