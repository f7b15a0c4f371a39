import { createRequire } from 'node:module'
import type { Blake3, Blake3Hasher } from './blake3-interface.js'
import { HasherFinishedError } from './errors.js'

interface Addon {
  Blake3Hasher: new () => AddonHasher
}

interface AddonHasher {
  reset(): void
  update(data: Uint8Array): unknown
  digest(format?: 'hex'): string
}

/** More idle hashers than are ever open at once in practice; each is about 2 KiB. */
const IDLE_LIMIT = 64

/**
 * Hex is the cheapest way over the boundary: a digest as a Buffer costs an external allocation and a finaliser, about 2 µs more
 * than a string of 64 characters and this loop. It matters for trees of small files.
 */
function fromHex(text: string): Uint8Array {
  const out = new Uint8Array(32)
  for (let i = 0; i < 32; i++) {
    const high = text.charCodeAt(2 * i)
    const low = text.charCodeAt(2 * i + 1)
    out[i] = ((high < 58 ? high - 48 : high - 87) << 4) | (low < 58 ? low - 48 : low - 87)
  }
  return out
}

class NativeBlake3 implements Blake3 {
  readonly implementation = 'native'
  readonly #addon: Addon
  readonly #oneShot: AddonHasher
  // Creating an addon object costs about 10 µs, resetting one a fraction of that.
  readonly #idle: AddonHasher[] = []

  constructor(addon: Addon) {
    this.#addon = addon
    this.#oneShot = new addon.Blake3Hasher()
  }

  digest(data: Uint8Array): Uint8Array {
    const hasher = this.#oneShot
    hasher.reset()
    hasher.update(data)
    return fromHex(hasher.digest())
  }

  hasher(): Blake3Hasher {
    const inner = this.#idle.pop() ?? new this.#addon.Blake3Hasher()
    inner.reset()
    return new NativeHasher(inner, (finished) => {
      if (this.#idle.length < IDLE_LIMIT) this.#idle.push(finished)
    })
  }
}

class NativeHasher implements Blake3Hasher {
  #inner: AddonHasher | undefined
  readonly #release: (inner: AddonHasher) => void

  constructor(inner: AddonHasher, release: (inner: AddonHasher) => void) {
    this.#inner = inner
    this.#release = release
  }

  update(data: Uint8Array): this {
    if (this.#inner === undefined) throw new HasherFinishedError()
    this.#inner.update(data)
    return this
  }

  digest(): Uint8Array {
    const inner = this.#inner
    if (inner === undefined) throw new HasherFinishedError()
    this.#inner = undefined
    const digest = fromHex(inner.digest())
    this.#release(inner)
    return digest
  }
}

function load(): Blake3 | undefined {
  try {
    return new NativeBlake3(createRequire(import.meta.url)('@napi-rs/blake-hash') as Addon)
  } catch {
    return undefined
  }
}

/** The native implementation; undefined where its addon does not load (no binary for this platform). */
export const nativeBlake3: Blake3 | undefined = load()
