import { LruMap } from '@neve/castore-services'
import type { SecretKey, Signature } from '@neve/nix-compat'
import {
  EmbeddedPathInfoService,
  narInfoText,
  type PathInfo,
  pathInfoFingerprint,
  signPathInfo,
} from '@neve/store-pathinfo'
import type { BridgeStore } from './bridge-options.js'
import { type BridgeRequest, begun, type Reply, textReply } from './exchange.js'
import { type KnownNars, type RememberedNar, rememberedNar } from './known-nars.js'
import { narUrl } from './nar-url.js'
import { type CachedNarInfo, NarInfoCache } from './narinfo-cache.js'

export const NARINFO_TYPE = 'text/x-nix-narinfo'

/** How many signatures to remember: each costs as much as some ten lookups. */
const SIGNED = 50_000
/** How much of narinfo files to remember, in bytes. */
const CACHED = 32 * 1024 * 1024

/** What the cache tells about store paths: their narinfo, and the listing of their NAR. */
export class NarInfoRoutes {
  readonly #store: BridgeStore
  readonly #known: KnownNars
  readonly #keys: readonly SecretKey[]
  readonly #zstd: boolean
  readonly #cache = new NarInfoCache(CACHED)
  readonly #signed = new LruMap<string, { readonly text: string; readonly signatures: readonly Signature[] }>(
    SIGNED,
  )

  /** @param zstd whether narinfo files name the compressed NAR */
  constructor(store: BridgeStore, known: KnownNars, keys: readonly SecretKey[], zstd: boolean) {
    this.#store = store
    this.#known = known
    this.#keys = keys
    this.#zstd = zstd
  }

  /**
   * @param digest of the store path, 20 bytes
   * @param name of the narinfo, which says the same
   */
  async narInfo(digest: Uint8Array, name: string, request: BridgeRequest): Promise<Reply> {
    const known = this.knownNarInfo(digest, name)
    if (known !== undefined) return known
    const { pathInfos } = this.#store
    const stored = await pathInfos.get(digest, { signal: request.signal })
    if (stored === undefined) return absent()
    const nar = rememberedNar(stored)
    this.#known.refresh(nar)
    return this.#reply(stored, nar)
  }

  /** As {@link narInfo} from a table of this machine, which never waits; undefined where there is no such table. */
  knownNarInfo(digest: Uint8Array, name: string): Reply | undefined {
    const { pathInfos } = this.#store
    return pathInfos instanceof EmbeddedPathInfoService ? this.#fromEntry(pathInfos, digest, name) : undefined
  }

  /** Whatever process changed it last. */
  #fromEntry(pathInfos: EmbeddedPathInfoService, digest: Uint8Array, name: string): Reply {
    const entry = pathInfos.entry(digest)
    if (entry === undefined) return absent()
    let cached = this.#cache.get(name, entry)
    if (cached === undefined) {
      const info = pathInfos.decode(digest, entry)
      const nar = rememberedNar(info)
      cached = { entry, reply: this.#reply(info, nar), nar }
      this.#cache.set(name, cached)
    }
    this.#known.refresh(cached.nar)
    return cached.reply
  }

  #reply(stored: PathInfo, { text }: RememberedNar): CachedNarInfo['reply'] {
    const info = this.#keys.length === 0 ? stored : this.#withSignatures(stored)
    const { narSize } = info
    const location = this.#zstd
      ? { url: narUrl(text, narSize, 'zstd'), compression: 'zstd' }
      : { url: narUrl(text, narSize, 'nar'), compression: 'none', fileSize: narSize }
    const body = narInfoText(info, location)
    const { status, headers } = textReply(body, { type: NARINFO_TYPE })
    return { status, headers, body }
  }

  /** @param digest of the store path, 20 bytes */
  async listing(digest: Uint8Array, { signal }: BridgeRequest): Promise<Reply> {
    const info = await this.#store.pathInfos.get(digest, { signal })
    if (info === undefined) return absent()
    const headers = { 'content-type': 'application/json' }
    const source = await begun(utf8(this.#store.narListing(info.node, { signal })))
    return { status: 200, headers, body: { source, length: undefined } }
  }

  #withSignatures(info: PathInfo): PathInfo {
    const text = pathInfoFingerprint(info)
    const key = info.storePath.toString()
    let known = this.#signed.get(key)
    if (known?.text !== text) {
      const bare: PathInfo = { ...info, signatures: [] }
      known = { text, signatures: this.#keys.flatMap((one) => signPathInfo(bare, one).signatures) }
      this.#signed.set(key, known)
    }
    const names = new Set(known.signatures.map(({ name }) => name))
    const others = info.signatures.filter(({ name }) => !names.has(name))
    return { ...info, signatures: [...others, ...known.signatures] }
  }
}

const ABSENT = textReply('not found\n', { status: 404 })

/** Nix asks for many paths that are not there: no error is made for each. */
export function absent(): Reply {
  return ABSENT
}

async function* utf8(source: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const text of source) yield Buffer.from(text)
}
