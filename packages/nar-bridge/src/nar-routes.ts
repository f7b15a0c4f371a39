import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { constants, createBrotliCompress, createGzip } from 'node:zlib'
import type { Node } from '@neve/castore-model'
import { blobStream } from '@neve/castore-services'
import { encodeNixbase32 } from '@neve/nix-compat'
import { acceptsZstd } from './accept-encoding.js'
import type { BridgeStore } from './bridge-options.js'
import { parseRange } from './byte-range.js'
import { isKnown, wantedRange } from './conditions.js'
import { copies } from './copies.js'
import { type BridgeRequest, begun, type Reply, textReply } from './exchange.js'
import { HttpError } from './http-error.js'
import type { KnownNar, KnownNars } from './known-nars.js'
import { mediaType, type NarForm } from './nar-form.js'
import { nodeText } from './nar-url.js'
import { storedXz, storedXzSize } from './stored-xz.js'
import type { UploadedNar } from './upload-record.js'

/** What a name made of a digest stands for never changes. */
const FOREVER = 'public, max-age=31536000, immutable'

/** NARs by what they contain. */
export class NarRoutes {
  readonly #store: BridgeStore
  readonly #known: KnownNars
  readonly #encodes: boolean

  /** @param encodes whether NARs may go as zstd to clients that undo it themselves */
  constructor(store: BridgeStore, known: KnownNars, encodes: boolean) {
    this.#store = store
    this.#known = known
    this.#encodes = encodes
  }

  /** A NAR as it is, or a range of it; encoded with zstd on its way where that is cheap and the client takes it. */
  async plain(nar: KnownNar, request: BridgeRequest): Promise<Reply> {
    const vary: Record<string, string> = this.#encodes ? { vary: 'accept-encoding' } : {}
    const { method, signal } = request
    // A range of what is encoded would be one that nobody wants.
    const isEncoded = this.#encodes && request.header('range') === undefined
    if (isEncoded && acceptsZstd(request.header('accept-encoding'))) {
      const { status, headers, body } = await this.zstd(nar, request)
      const encoded = { ...vary, 'content-type': mediaType('none'), 'content-encoding': 'zstd' }
      return { status, headers: { ...headers, ...encoded }, body }
    }
    const etag = `"${tagOf(nar.node)}"`
    const headers = {
      'content-type': mediaType('none'),
      'cache-control': FOREVER,
      etag,
      'accept-ranges': 'bytes',
      ...vary,
    }
    await this.#checkSize(nar, signal)
    if (isKnown(request, etag)) return { status: 304, headers }
    const { node, narSize: size } = nar
    const header = method === 'GET' ? wantedRange(request, etag) : undefined
    const range = header === undefined ? undefined : parseRange(header, size)
    if (range === 'unsatisfiable') {
      const text = `expected a range within 0 to ${size}\n`
      return textReply(text, { status: 416, headers: { 'content-range': `bytes */${size}` } })
    }
    if (range !== undefined) {
      const { start, end } = range
      const reader = await this.#store.openNar(node, { signal })
      const source = await begun(reader.stream(range, { signal }))
      const length = end - start
      const more = { 'content-range': `bytes ${start}-${end - 1n}/${size}`, 'content-length': `${length}` }
      return { status: 206, headers: { ...headers, ...more }, body: { source, length } }
    }
    const whole = { ...headers, 'content-length': `${size}` }
    if (method === 'HEAD') return { status: 200, headers: whole }
    const source = await begun(this.#store.nar(node, { signal }))
    return { status: 200, headers: whole, body: { source, length: size } }
  }

  /** A NAR as a zstd stream, of the stored frames where there are some. Its length shows only at its end. */
  async zstd(nar: KnownNar, request: BridgeRequest): Promise<Reply> {
    const etag = `W/"${tagOf(nar.node)}-zstd"`
    const headers = {
      'content-type': mediaType('zstd'),
      'cache-control': FOREVER,
      etag,
      'accept-ranges': 'none',
    }
    const { method, signal } = request
    await this.#checkSize(nar, signal)
    if (isKnown(request, etag)) return { status: 304, headers }
    if (method === 'HEAD') return { status: 200, headers }
    const source = await begun(this.#store.compressedNar(nar.node, { signal }))
    return { status: 200, headers, body: { source, length: undefined } }
  }

  /** A NAR in the form in which it was put. Where that is cheap it is made again, else it was kept. */
  async named(nar: UploadedNar, request: BridgeRequest): Promise<Reply> {
    if (nar.form === 'none') return this.plain(nar, request)
    if (nar.form === 'zstd') return this.zstd(nar, request)
    const { form, node, narSize } = nar
    const etag = `W/"${tagOf(node)}-${form}"`
    const headers: Record<string, string> = {
      'content-type': mediaType(form),
      'cache-control': FOREVER,
      etag,
      'accept-ranges': 'none',
    }
    const { method, signal } = request
    await this.#checkSize(nar, signal)
    if (isKnown(request, etag)) return { status: 304, headers }
    const length = form === 'xz' ? storedXzSize(narSize) : nar.file && nar.fileSize
    if (length !== undefined) headers['content-length'] = `${length}`
    if (method === 'HEAD') return { status: 200, headers }
    const source = await begun(this.#encoded(nar, signal))
    return { status: 200, headers, body: { source, length } }
  }

  async *#encoded(
    { form, node, file }: UploadedNar,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (file !== undefined) {
      await using reader = await this.#store.blobs.open(file, { signal })
      if (reader === undefined) throw new HttpError(404, 'this file is not in the store any more')
      yield* blobStream(reader, { signal })
      return
    }
    const archive = this.#store.nar(node, { signal })
    yield* form === 'xz' ? storedXz(archive) : compressed(form, archive)
  }

  /**
   * What clients say of the size is not to be believed: it would be the `Content-Length`.
   *
   * @throws HttpError 400; StoreError `directory-not-found`, `blob-not-found`
   */
  async #checkSize({ node, narSize }: KnownNar, signal: AbortSignal): Promise<void> {
    let actual = this.#known.sizeOf(node)
    if (actual === undefined) {
      if (node.kind === 'file' && !(await this.#store.blobs.has(node.digest, { signal }))) {
        throw new HttpError(404, 'the contents of this NAR are not in the store')
      }
      const reader = await this.#store.openNar(node, { signal })
      actual = reader.size
      this.#known.rememberSize(node, actual)
    }
    if (actual !== narSize) throw new HttpError(400, `expected narsize=${actual}, got ${narSize}`)
  }
}

/** By the cheapest means that Node has. */
async function* compressed(
  form: NarForm,
  archive: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder =
    form === 'br'
      ? createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 0 } })
      : createGzip({ level: constants.Z_BEST_SPEED })
  // What is read ahead must not lie where the next piece comes to lie.
  yield* pipeline(Readable.from(copies(archive), { objectMode: false }), encoder, () => {})
}

/** The same for the same contents, and for nothing else. */
function tagOf(node: Node): string {
  const digest = createHash('sha256').update(nodeText(node)).digest()
  return encodeNixbase32(new Uint8Array(digest.subarray(0, 20)))
}
