import { B3Digest } from '@neve/castore-model'
import {
  type BlobReader,
  type BlobService,
  BlobTooLargeError,
  type BlobWriter,
  BlobWriterBase,
  type CallOptions,
  ChunkedBlobReader,
  type ChunkMeta,
  DataLossError,
  DEFAULT_GET_MAX_SIZE,
  type GetBlobOptions,
  MemoryBlobReader,
} from '@neve/castore-services'
import { Chunker, chunkSizes } from '@neve/fastcdc'

/** Stores blobs in chunks and trusts nothing it stored: made of the same pieces as real backends. */
export class ChunkingBlobService implements BlobService {
  readonly pieces = new Map<string, Uint8Array>([[B3Digest.EMPTY.key, new Uint8Array(0)]])
  readonly lists = new Map<string, readonly ChunkMeta[]>()
  fetches = 0

  constructor(readonly average: number) {}

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return this.pieces.has(digest.key) || this.lists.has(digest.key)
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    return (await this.has(digest, options)) ? (this.lists.get(digest.key) ?? []) : undefined
  }

  async open(digest: B3Digest, { signal }: CallOptions = {}): Promise<BlobReader | undefined> {
    signal?.throwIfAborted()
    const chunks = this.lists.get(digest.key)
    if (chunks !== undefined) {
      const fetch = async (chunk: ChunkMeta) => {
        this.fetches += 1
        return this.pieces.get(chunk.digest.key)
      }
      return new ChunkedBlobReader({ digest, chunks, fetch, backend: 'test' })
    }
    const content = this.pieces.get(digest.key)
    if (content === undefined) return undefined
    const actual = B3Digest.of(content)
    if (!actual.equals(digest)) throw new DataLossError(digest, 'test', `expected ${digest}, got ${actual}`)
    return new MemoryBlobReader(content)
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new ChunkingWriter(this, options)
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE } = options
    await using reader = await this.open(digest, options)
    if (reader === undefined) return undefined
    if (reader.size > BigInt(maxSize)) throw new BlobTooLargeError(digest, reader.size, maxSize)
    return await reader.readAt(0n, maxSize, options)
  }

  async put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    await using writer = this.openWrite(options)
    await writer.write(content)
    return await writer.close()
  }

  /** Changes a byte of the last piece of a blob. */
  async damage(digest: B3Digest): Promise<void> {
    const piece = this.pieces.get((this.lists.get(digest.key)?.at(-1)?.digest ?? digest).key)!
    piece[0]! ^= 1
  }
}

class ChunkingWriter extends BlobWriterBase {
  readonly #service: ChunkingBlobService
  readonly #chunker: Chunker
  readonly #pieces: Uint8Array[] = []

  constructor(service: ChunkingBlobService, options?: CallOptions) {
    super(options)
    this.#service = service
    this.#chunker = new Chunker(chunkSizes(service.average))
  }

  protected accept(bytes: Uint8Array): void {
    for (const piece of this.#chunker.push(bytes)) this.#pieces.push(new Uint8Array(piece))
  }

  protected drain(): void {}

  protected commit(): B3Digest {
    const pieces = [...this.#pieces, ...this.#chunker.finish()]
    const content = Buffer.concat(pieces)
    const digest = B3Digest.of(content)
    const chunks = pieces.map((piece) => ({ digest: B3Digest.of(piece), size: BigInt(piece.length) }))
    for (const [index, { digest: chunk }] of chunks.entries())
      this.#service.pieces.set(chunk.key, pieces[index]!)
    if (pieces.length > 1) this.#service.lists.set(digest.key, chunks)
    return digest
  }

  protected discard(): void {
    this.#pieces.length = 0
  }
}
