import type { FileNode, Node } from '@neve/castore-model'
import {
  type BlobReader,
  type BlobService,
  type ByteRange,
  blobStream,
  type CallOptions,
  CastoreError,
  type DirectoryService,
  mapOrdered,
} from '@neve/castore-services'
import { engineOf } from '@neve/castore-services/blob/embedded'
import { NarLayout, type NarLayouts } from './nar-layout.js'
import { absent, wrongSize } from './nar-plan.js'
import { type NarStretch, narStretches } from './nar-stretches.js'

/** Where a {@link NarReader} reads from. */
export interface NarReaderServices {
  readonly blobs: Pick<BlobService, 'open'>
  readonly directories: Pick<DirectoryService, 'get' | 'getRecursive'>
}

/** Options of {@link NarReader.open}. */
export interface OpenNarOptions extends CallOptions {
  /** Layouts to share between the readers of one store. Default: the layout is made for this reader. */
  readonly layouts?: NarLayouts | undefined
}

/** Contents up to this size are read ahead whole, in bytes. */
const SMALL = 256n * 1024n
/** How many parts of a NAR are read ahead. */
const AHEAD = 16
/** Child directories that are looked up ahead where that may be a round trip. */
const DIRECTORIES_AHEAD = 8

/**
 * The NAR of a node, readable at any position without rendering what lies before it (spec 07 section 13.8). It is read
 * like a blob: by `readAt`, by `blobStream`, by `BlobCursor`. Opening reads directories only; the size is known from
 * then on. Reads go down from the root and touch no directory and no file that ends before the range; any number may
 * run at once. What they deliver was verified first.
 *
 * Reads throw StoreError `blob-not-found`, `wrong-size` (the node says another length than the blob has),
 * `directory-not-found`; DataLossError for what is damaged; errors of the services.
 */
export class NarReader implements BlobReader {
  readonly #services: NarReaderServices
  readonly #root: Node
  readonly #layout: NarLayout
  readonly #directoriesAhead: number
  #closed = false

  private constructor(services: NarReaderServices, root: Node, layout: NarLayout) {
    this.#services = services
    this.#root = root
    this.#layout = layout
    this.#directoriesAhead = engineOf(services.blobs) === undefined ? DIRECTORIES_AHEAD : 1
  }

  /** @throws StoreError `directory-not-found`; DataLossError when a directory below the root is damaged or missing */
  static async open(
    services: NarReaderServices,
    root: Node,
    { signal, layouts }: OpenNarOptions = {},
  ): Promise<NarReader> {
    const { directories } = services
    const layout = await (layouts?.of(directories, root, { signal }) ??
      NarLayout.of(directories, root, { signal }))
    return new NarReader(services, root, layout)
  }

  /** Length of the NAR in bytes. */
  get size(): bigint {
    return this.#layout.size
  }

  /** As {@link BlobReader.readAt}. */
  async readAt(offset: bigint, length: number, { signal }: CallOptions = {}): Promise<Uint8Array> {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new CastoreError(
        'invalid-input',
        `invalid length: expected a non-negative integer, got ${length}`,
      )
    }
    const left = this.size - offset
    const wanted = left < BigInt(length) ? left : BigInt(length)
    this.#check({ start: offset, end: offset + wanted })
    const bytes = new Uint8Array(Number(wanted))
    let at = 0
    for await (const piece of this.#pieces({ start: offset, end: offset + wanted }, 1, signal)) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  /** A range of the NAR in pieces, in order, read ahead. */
  async *stream(range: ByteRange, { signal }: CallOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    this.#check(range)
    yield* this.#pieces(range, this.#directoriesAhead, signal)
  }

  /** Refuses reads that come later. Calling it again does nothing. */
  async close(): Promise<void> {
    this.#closed = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #check({ start, end }: ByteRange): void {
    if (this.#closed) throw new CastoreError('closed', 'the NAR reader is already closed')
    if (start >= 0n && start <= end && end <= this.size) return
    throw new CastoreError(
      'invalid-input',
      `invalid range: expected one within 0 to ${this.size}, got ${start} to ${end}`,
    )
  }

  async *#pieces(
    range: ByteRange,
    directoriesAhead: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    signal?.throwIfAborted()
    if (range.start === range.end) return
    const parts = this.#parts(range, directoriesAhead, signal)
    const load = async (part: Part, stop: AbortSignal): Promise<Part> =>
      part.kind === 'content' && part.end - part.start <= SMALL ? await this.#readSmall(part, stop) : part
    for await (const part of mapOrdered(parts, AHEAD, load, { signal })) {
      if (part.kind === 'bytes') {
        yield part.bytes
        continue
      }
      await using reader = await this.#open(part.node, signal)
      yield* blobStream(reader, { start: part.start, end: part.end, signal })
    }
  }

  /** The parts of a range. */
  async *#parts(
    range: ByteRange,
    directoriesAhead: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Part, void, undefined> {
    const from = { offset: range.start, layout: this.#layout }
    const options = { signal, from, directoriesAhead }
    for await (const stretches of narStretches(this.#services.directories, this.#root, options)) {
      for (const stretch of stretches) {
        if (stretch.start >= range.end) return
        const part = within(stretch, range)
        if (part !== undefined) yield part
      }
    }
  }

  async #readSmall({ node, start, end }: ContentPart, signal: AbortSignal): Promise<BytesPart> {
    await using reader = await this.#open(node, signal)
    return { kind: 'bytes', bytes: await reader.readAt(start, Number(end - start), { signal }) }
  }

  async #open(node: FileNode, signal: AbortSignal | undefined): Promise<BlobReader> {
    const reader = await this.#services.blobs.open(node.digest, { signal, sizeHint: node.size })
    if (reader === undefined) throw absent(node, node.digest, '')
    if (reader.size === node.size) return reader
    await reader.close()
    throw wrongSize(node, reader.size)
  }
}

/** Framing that lies in a range. */
interface BytesPart {
  readonly kind: 'bytes'
  readonly bytes: Uint8Array
}

/** What of a file's contents lies in a range: from byte `start` of the file to `end`. */
interface ContentPart {
  readonly kind: 'content'
  readonly node: FileNode
  readonly start: bigint
  readonly end: bigint
}

type Part = BytesPart | ContentPart

/** What of a stretch lies in a range. A file without bytes lies in the range that goes on behind it. */
function within(stretch: NarStretch, range: ByteRange): Part | undefined {
  const { start: base } = stretch
  const length = stretch.kind === 'framing' ? BigInt(stretch.bytes.length) : stretch.node.size
  if (base + length < range.start || (base + length === range.start && length > 0n)) return undefined
  const start = range.start > base ? range.start - base : 0n
  const end = range.end < base + length ? range.end - base : length
  return stretch.kind === 'framing'
    ? { kind: 'bytes', bytes: stretch.bytes.subarray(Number(start), Number(end)) }
    : { kind: 'content', node: stretch.node, start, end }
}
