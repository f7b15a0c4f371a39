import { compareBytes, type Node } from '@neve/castore-model'
import {
  type BlobService,
  type CallOptions,
  type DirectoryService,
  SingleFlight,
} from '@neve/castore-services'
import { ArchiveError } from '@neve/castore-services/ingest/archive'
import { NarError } from '@neve/nar'
import {
  encodeNixbase32,
  MAX_NARINFO_LENGTH,
  type NarInfo,
  NarInfoError,
  type PublicKey,
  parseNarInfo,
  trustedSignature,
} from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { parseInfusedNar } from '../infused-nar.js'
import { ingestNar } from '../ingest-nar.js'
import { NarMismatchError } from '../nar-mismatch-error.js'
import { checkDigest } from '../path-info/list-filter.js'
import { readonlyRefusal } from '../path-info/readonly.js'
import { fromNarInfo, metadataOfNarInfo, type PathInfo } from '../path-info.js'
import type { ListPathInfosOptions, PathInfoService, PathMetadata } from '../path-info-service.js'
import { type NixHttpAddress, parseNixHttpAddress } from './address.js'
import { HttpCache } from './http-cache.js'
import { checkCompression, downloadedNar } from './nar-download.js'
import { openRemoteCastore, type RemoteCastore, substitute } from './remote-castore.js'
import { UpstreamError } from './upstream-error.js'

/** Options of {@link NixHttpPathInfoService}. */
export interface NixHttpPathInfoServiceInit {
  /** `nix+https://cache.nixos.org?trusted_public_keys[0]=…`, or what that says. */
  readonly address: string | NixHttpAddress
  /** Where contents are stored when a path info is asked for. They stay the caller's. */
  readonly blobs: BlobService
  readonly directories: DirectoryService
  /** Keys of which one has to have signed, besides those of the address. Default: with none at all, nothing need be signed. */
  readonly trustedPublicKeys?: readonly PublicKey[] | undefined
  /** The longest that the server may be silent, or next to it, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
  /** How often to ask again when it is away or not well. Default: 4. */
  readonly retries?: number | undefined
  /** How long to wait before the first of them, in milliseconds; three times as long before each further one. Default: 250. */
  readonly firstPause?: number | undefined
  /** The most bytes of a NAR. Default: 1 TiB. */
  readonly maxNarSize?: bigint | undefined
  /** Opens the castore services of the cache's host, for NARs that name castore nodes. Default: over gRPC. */
  readonly openCastore?: ((origin: URL) => Promise<RemoteCastore>) | undefined
  /** Told that castore could not be used, so that the NAR was downloaded. It must not throw. Default: nobody. */
  readonly onTrouble?: ((trouble: { readonly url: string; readonly error: unknown }) => void) | undefined
}

/** How long to wait for castore services that may not be there at all, in milliseconds. */
const CASTORE_TIMEOUT = 5000

/**
 * The path infos of a Nix binary cache over HTTP (spec 07 sections 6.6 and 13.4), read-only. Whoever gets one has its
 * contents in `blobs` and `directories`: the NAR is downloaded, decompressed, checked and stored before `get` answers,
 * once however many ask. Signatures are checked first, and nothing of a NAR that is not what the narinfo says can be
 * reached.
 *
 * `get` downloads each time: put a `CachePathInfoService` in front.
 */
export class NixHttpPathInfoService implements PathInfoService {
  readonly #init: NixHttpPathInfoServiceInit
  readonly #address: NixHttpAddress
  readonly #keys: readonly PublicKey[]
  readonly #http: HttpCache
  readonly #fetching = new SingleFlight<string, PathInfo | undefined>()
  #castore: Promise<RemoteCastore> | undefined

  /** @throws StoreError `invalid-address` */
  constructor(init: NixHttpPathInfoServiceInit) {
    this.#init = init
    this.#address = typeof init.address === 'string' ? parseNixHttpAddress(init.address) : init.address
    this.#keys = [...this.#address.trustedPublicKeys, ...(init.trustedPublicKeys ?? [])]
    const { timeout = 30_000, retries = 4, firstPause = 250 } = init
    this.#http = new HttpCache({ url: this.#address.url, timeout, retries, firstPause })
  }

  /**
   * @throws StoreError `untrusted`; UpstreamError; CastoreError `unavailable`; errors of the services that contents are
   *   stored in
   */
  async get(digest: Uint8Array, options: CallOptions = {}): Promise<PathInfo | undefined> {
    checkDigest(digest)
    const hash = encodeNixbase32(digest)
    return this.#fetching.run(hash, (signal) => this.#get(hash, digest, signal), options)
  }

  /** What the narinfo says, checked as for {@link get}; nothing is downloaded. */
  async metadata(digest: Uint8Array, options: CallOptions = {}): Promise<PathMetadata | undefined> {
    checkDigest(digest)
    const info = await this.#narInfo(encodeNixbase32(digest), digest, options.signal)
    return info && metadataOfNarInfo(info)
  }

  /** Whether there is a narinfo; it is not looked at. */
  async has(digest: Uint8Array, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    checkDigest(digest)
    return this.#http.has(narInfoPath(encodeNixbase32(digest)), signal)
  }

  async put(_info: PathInfo, { signal }: CallOptions = {}): Promise<PathInfo> {
    signal?.throwIfAborted()
    throw readonlyRefusal()
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give
  async *list({ signal }: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    signal?.throwIfAborted()
    throw new StoreError('unsupported', 'a binary cache cannot be listed')
  }

  /** Ends the connection to castore services, if there is one. */
  async close(): Promise<void> {
    const castore = await this.#castore?.catch(() => undefined)
    await castore?.close()
  }

  async #get(hash: string, digest: Uint8Array, signal: AbortSignal): Promise<PathInfo | undefined> {
    const info = await this.#narInfo(hash, digest, signal)
    if (info === undefined) return undefined
    const node = (await this.#substituted(info, signal)) ?? (await this.#downloaded(info, signal))
    return fromNarInfo(info, node)
  }

  /** The narinfo, trusted. */
  async #narInfo(
    hash: string,
    digest: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<NarInfo | undefined> {
    const url = `${this.#address.url.host}/${narInfoPath(hash)}`
    const text = await this.#http.small(narInfoPath(hash), MAX_NARINFO_LENGTH, signal)
    if (text === undefined) return undefined
    const info = readNarInfo(url, text)
    if (compareBytes(info.storePath.digest, digest) !== 0) {
      throw new UpstreamError(url, 'other-path', `the narinfo is that of ${info.storePath}`)
    }
    if (this.#keys.length > 0 && trustedSignature(info, this.#keys) === undefined) {
      const names = info.signatures.map(({ name }) => name).join(', ') || 'nobody'
      const trusted = this.#keys.map(({ name }) => name).join(', ')
      throw new StoreError(
        'untrusted',
        `${url}: expected a valid signature of ${trusted}, got signatures of ${names}`,
      )
    }
    return info
  }

  /** The root of contents that came by castore; undefined when they have to be downloaded. */
  async #substituted(info: NarInfo, signal: AbortSignal): Promise<Node | undefined> {
    const infused = this.#address.forceDownloadNar ? undefined : parseInfusedNar(info.url)
    if (infused === undefined) return undefined
    const { openCastore = (origin: URL) => openRemoteCastore(origin, CASTORE_TIMEOUT) } = this.#init
    try {
      this.#castore ??= openCastore(this.#http.origin)
      const castore = await this.#castore
      const promised = { narSize: info.narSize, narSha256: info.narHash.digest }
      await substitute(castore, this.#init, infused.node, promised, { signal })
      return infused.node
    } catch (error) {
      signal.throwIfAborted()
      // Whoever could not be reached may be next time.
      const castore = this.#castore
      this.#castore = undefined
      castore?.then((opened) => opened.close()).catch(() => {})
      this.#init.onTrouble?.({ url: info.url, error })
      return undefined
    }
  }

  async #downloaded(info: NarInfo, signal: AbortSignal): Promise<Node> {
    const { blobs, directories, maxNarSize } = this.#init
    checkCompression(info.url, info.compression)
    const self = info.references.some((reference) => reference.equals(info.storePath))
    const expected = {
      narSize: info.narSize,
      narSha256: info.narHash.digest,
      // The address of what mentions its own path is made with that left out: the signed hash has to do.
      ca: self ? undefined : info.ca,
      maxSize: maxNarSize,
      signal,
    }
    return this.#http.retrying(signal, async () => {
      await using answer = await this.#http.open(info.url, signal)
      if (answer === undefined) throw new UpstreamError(info.url, 'missing', 'there is a narinfo, but no NAR')
      try {
        const { node } = await ingestNar(
          { blobs, directories },
          downloadedNar(answer, info, signal),
          expected,
        )
        return node
      } catch (error) {
        const ofNar =
          error instanceof NarError || error instanceof ArchiveError || error instanceof NarMismatchError
        throw ofNar ? new UpstreamError(answer.url, 'nar', error.message, error) : error
      }
    })
  }
}

function narInfoPath(hash: string): string {
  return `${hash}.narinfo`
}

function readNarInfo(url: string, text: Uint8Array): NarInfo {
  try {
    return parseNarInfo(text)
  } catch (error) {
    if (!(error instanceof NarInfoError)) throw error
    throw new UpstreamError(url, 'narinfo', error.message, error)
  }
}
