import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { formatCacheInfo, parseNarFileName, parseStorePathFileName } from '@neve/nix-compat'
import { checkAccess } from './access.js'
import type { BridgeStore, NarBridgeOptions } from './bridge-options.js'
import { EmbeddedUploads } from './embedded-uploads.js'
import { type BridgeRequest, type Reply, type RequestHead, textReply } from './exchange.js'
import { HttpError } from './http-error.js'
import { KnownNars } from './known-nars.js'
import { NarRoutes } from './nar-routes.js'
import { receiveNar } from './nar-upload.js'
import { parseNarUrl } from './nar-url.js'
import { absent, NarInfoRoutes } from './narinfo-routes.js'
import { receiveNarInfo } from './narinfo-upload.js'
import { ObjectUploads } from './object-uploads.js'
import { PageRoutes } from './page/page-routes.js'
import { parseSideFile, SideFiles } from './side-files.js'
import type { UploadedNars } from './uploaded-nars.js'

/** Longer request targets than any that means something. */
const MAX_TARGET = 16 * 1024
const DEFAULT_PRIORITY = 39
/** The length of `/<hash>.narinfo`. */
const NARINFO_TARGET = 41
const MAX_NAR_SIZE = 2n ** 40n
const UPLOAD_EXPIRY = 24 * 60 * 60 * 1000
/** Milliseconds between two looks for uploads that nobody finished. */
const EXPIRE_EVERY = 60 * 60 * 1000
/** Listings are made here; what clients put is read, and passed over. */
const MAX_LISTING = 256 * 1024 * 1024

const DONE: Reply = { status: 200, headers: { 'content-length': '0' } }

/** Finds out what a request is about, and whether it may be. */
export class Routes {
  readonly #store: BridgeStore
  readonly #options: NarBridgeOptions
  readonly #known = new KnownNars()
  readonly #narInfos: NarInfoRoutes
  readonly #nars: NarRoutes
  readonly #uploads: UploadedNars
  readonly #sideFiles: SideFiles
  readonly #cacheInfo: Reply
  readonly #pages: PageRoutes | undefined
  #expired = 0

  constructor(store: BridgeStore, options: NarBridgeOptions) {
    const { compression = 'auto', priority = DEFAULT_PRIORITY, signKeys = [] } = options
    const { files = new MemoryObjectStore(), name = '' } = options
    this.#store = store
    this.#options = options
    const zstd = compression === 'zstd' || (compression === 'auto' && store.engine !== undefined)
    this.#narInfos = new NarInfoRoutes(store, this.#known, signKeys, zstd)
    this.#nars = new NarRoutes(store, this.#known, zstd)
    const { engine } = store
    this.#uploads = engine === undefined ? new ObjectUploads(files) : new EmbeddedUploads(engine, name)
    this.#sideFiles = new SideFiles(files)
    const info = formatCacheInfo({ wantMassQuery: true, priority })
    this.#cacheInfo = textReply(info, { type: 'text/x-nix-cache-info' })
    const { page = true, readOnly = false, publicRead = false, tokens } = options
    const publicKeys = signKeys.map(({ publicKey }) => publicKey.toString())
    const facts = { priority, publicKeys, readOnly, guarded: tokens !== undefined && !publicRead }
    this.#pages = page ? new PageRoutes(store, this.#nars, facts, signKeys) : undefined
  }

  async answer(request: BridgeRequest): Promise<Reply> {
    const { target } = request
    if (target.length > MAX_TARGET) throw new HttpError(414, `expected a URL of at most ${MAX_TARGET} bytes`)
    this.#check(request)
    if (!target.startsWith('/')) return absent()
    const mark = target.indexOf('?')
    const path = target.slice(1, mark < 0 ? undefined : mark)
    if (path.startsWith('nar/')) return this.#nar(target.slice(1), request)
    const file = parseStorePathFileName(path)
    if (file !== undefined) {
      return file.kind === 'narinfo'
        ? this.#narInfo(file.digest, path, request)
        : this.#listing(file.digest, request)
    }
    const side = parseSideFile(path)
    if (side !== undefined) {
      if (request.method !== 'PUT') return this.#sideFiles.get(side, request)
      await this.#sideFiles.put(side, request)
      return DONE
    }
    if (path === 'nix-cache-info') {
      expectRead(request)
      return this.#cacheInfo
    }
    return this.#page(request, path)
  }

  /** What {@link answer} would give and what can be told at once: narinfo files of a table, and what the cache is. */
  quick(request: RequestHead): Reply | undefined {
    const { target } = request
    if (target === '/nix-cache-info') {
      this.#check(request)
      return this.#cacheInfo
    }
    if (target.length !== NARINFO_TARGET || !target.endsWith('.narinfo')) return undefined
    const path = target.slice(1)
    const file = parseStorePathFileName(path)
    if (file === undefined) return undefined
    this.#check(request)
    return this.#narInfos.knownNarInfo(file.digest, path)
  }

  async #page(request: BridgeRequest, path: string): Promise<Reply> {
    const reply = request.method === 'PUT' ? undefined : await this.#pages?.answer(request, request.target)
    if (reply !== undefined) return reply
    if (path !== '') return absent()
    expectRead(request)
    return textReply('a Nix binary cache, served by Neve\n')
  }

  /** @throws HttpError 401, 403, 405 */
  #check(request: RequestHead): void {
    const { method } = request
    const writes = method === 'PUT'
    if (!writes && method !== 'GET' && method !== 'HEAD') throw notAllowed(method, 'GET, HEAD, PUT')
    const { tokens, publicRead, readOnly = false } = this.#options
    if (tokens !== undefined) checkAccess(request, writes ? 'write' : 'read', tokens, { publicRead })
    if (writes && readOnly) throw new HttpError(403, 'this cache is for reading only')
  }

  async #narInfo(digest: Uint8Array, name: string, request: BridgeRequest): Promise<Reply> {
    if (request.method !== 'PUT') return this.#narInfos.narInfo(digest, name, request)
    const { requireSignatures = [] } = this.#options
    const stored = await receiveNarInfo(this.#store, this.#uploads, digest, request, requireSignatures)
    this.#known.remember(stored)
    return DONE
  }

  async #listing(digest: Uint8Array, request: BridgeRequest): Promise<Reply> {
    if (request.method !== 'PUT') return this.#narInfos.listing(digest, request)
    await passOver(request, MAX_LISTING)
    return DONE
  }

  /** @param url without the slash before it */
  async #nar(url: string, request: BridgeRequest): Promise<Reply> {
    if (/^nar\/(?:snix|tvix)-castore\//.test(url)) {
      expectRead(request)
      const nar = parseNarUrl(url)
      if (nar === undefined) return absent()
      if (nar === 'no-size') throw new HttpError(400, 'expected ?narsize= with the size of the NAR')
      return nar.form === 'zstd' ? this.#nars.zstd(nar, request) : this.#nars.plain(nar, request)
    }
    const name = url.slice('nar/'.length)
    const parsed = parseNarFileName(name)
    if (request.method === 'PUT') {
      if (parsed === undefined) {
        throw new HttpError(400, 'expected a name of 52 characters of nixbase32 and .nar')
      }
      const { maxNarSize = MAX_NAR_SIZE } = this.#options
      await this.#uploads.add((session) =>
        receiveNar(this.#store, name, parsed, request, { maxNarSize, session }),
      )
      this.#expire(request)
      return DONE
    }
    if (parsed === undefined) return absent()
    const known = parsed.suffix === '' ? this.#known.byHash(parsed.digest) : undefined
    if (known !== undefined) return this.#nars.plain(known, request)
    const uploaded = await this.#uploads.find(name, request.signal)
    return uploaded === undefined ? absent() : this.#nars.named(uploaded, request)
  }

  /** Looks now and then for uploads that nobody finished; no timer has to run for it. */
  #expire(request: BridgeRequest): void {
    const now = Date.now()
    if (now - this.#expired < EXPIRE_EVERY) return
    this.#expired = now
    const { uploadExpiry = UPLOAD_EXPIRY, onError } = this.#options
    this.#uploads.expire(uploadExpiry, now).catch((error: unknown) => onError?.(request, error))
  }
}

/** @throws HttpError 413 */
async function passOver({ body }: BridgeRequest, maxLength: number): Promise<void> {
  let length = 0
  for await (const piece of body) {
    length += piece.length
    if (length > maxLength) throw new HttpError(413, `expected at most ${maxLength} bytes`)
  }
}

function expectRead({ method }: BridgeRequest): void {
  if (method === 'PUT') throw notAllowed(method, 'GET, HEAD')
}

function notAllowed(method: string, allow: string): HttpError {
  return new HttpError(405, `${method} is not for this`, { allow })
}
