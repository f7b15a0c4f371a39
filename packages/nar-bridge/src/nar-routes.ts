import { createHash } from 'node:crypto'
import { encodeNode, type Node } from '@neve/castore-model'
import { encodeNixbase32 } from '@neve/nix-compat'
import type { BridgeStore } from './bridge-options.js'
import { parseRange } from './byte-range.js'
import { isKnown, wantedRange } from './conditions.js'
import { type BridgeRequest, begun, type Reply, textReply } from './exchange.js'
import { HttpError } from './http-error.js'
import type { KnownNar, KnownNars } from './known-nars.js'

const NAR_TYPE = 'application/x-nix-nar'
const ZSTD_TYPE = 'application/zstd'
/** What a name made of a digest stands for never changes. */
const FOREVER = 'public, max-age=31536000, immutable'

/** NARs by what they contain. */
export class NarRoutes {
  readonly #store: BridgeStore
  readonly #known: KnownNars

  constructor(store: BridgeStore, known: KnownNars) {
    this.#store = store
    this.#known = known
  }

  /** A NAR as it is, or a range of it. */
  async plain(nar: KnownNar, request: BridgeRequest): Promise<Reply> {
    const etag = `"${tagOf(nar.node)}"`
    const headers = { 'content-type': NAR_TYPE, 'cache-control': FOREVER, etag, 'accept-ranges': 'bytes' }
    const { method, signal } = request
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
    const headers = { 'content-type': ZSTD_TYPE, 'cache-control': FOREVER, etag, 'accept-ranges': 'none' }
    const { method, signal } = request
    await this.#checkSize(nar, signal)
    if (isKnown(request, etag)) return { status: 304, headers }
    if (method === 'HEAD') return { status: 200, headers }
    const source = await begun(this.#store.compressedNar(nar.node, { signal }))
    return { status: 200, headers, body: { source, length: undefined } }
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

/** The same for the same contents, and for nothing else. */
function tagOf(node: Node): string {
  const digest = createHash('sha256')
    .update(encodeNode(new Uint8Array(0), node))
    .digest()
  return encodeNixbase32(new Uint8Array(digest.subarray(0, 20)))
}
