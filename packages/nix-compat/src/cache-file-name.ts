import { decodeNixbase32, Nixbase32Error } from './nixbase32.js'

/** The name of a NAR in a binary cache: `<52 characters of nixbase32>.nar` and perhaps a suffix. */
export interface NarFileName {
  /** SHA-256 of the file, 32 bytes. */
  readonly digest: Uint8Array
  /** What follows `.nar`, with its dot: `.xz`. Empty for none, which need not mean that nothing was compressed. */
  readonly suffix: string
}

/** The name of what a binary cache says about a store path. */
export interface StorePathFileName {
  /** Of the store path, 20 bytes. */
  readonly digest: Uint8Array
  /** `narinfo`, or the listing of the NAR. */
  readonly kind: 'narinfo' | 'ls'
}

/** Reads the name of a NAR, without the folder before it; undefined for any other (spec 09 section 12.1). */
export function parseNarFileName(name: string): NarFileName | undefined {
  const parts = /^([0-9a-z]{52})\.nar((?:\.[0-9a-z]{1,8})?)$/.exec(name)
  const digest = parts === null ? undefined : decoded(parts[1]!, 32)
  return digest && { digest, suffix: parts![2]! }
}

/** Reads `<32 characters of nixbase32>.narinfo` or `.ls`; undefined for any other. */
export function parseStorePathFileName(name: string): StorePathFileName | undefined {
  const parts = /^([0-9a-z]{32})\.(narinfo|ls)$/.exec(name)
  const digest = parts === null ? undefined : decoded(parts[1]!, 20)
  return digest && { digest, kind: parts![2] as StorePathFileName['kind'] }
}

function decoded(text: string, size: number): Uint8Array | undefined {
  try {
    return decodeNixbase32(text, size)
  } catch (error) {
    if (error instanceof Nixbase32Error) return undefined
    throw error
  }
}
