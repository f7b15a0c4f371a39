import { B3Digest, type Blake3Hasher, blake3 } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import { DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import { BlobTooLargeError, DataLossError } from '../errors.js'
import { ChunkTable } from './chunk-table.js'
import { ChunkedBlobReader } from './chunked-reader.js'
import { MemoryBlobReader } from './memory-reader.js'
import { getPiece, properList } from './piece.js'
import { BlobWriterBase } from './writer-base.js'

const BACKEND = 'verify'
const BLOCK_SIZE = 256 * 1024

/**
 * Checks everything that another blob service gives, for services that do not check it themselves: no byte is handed
 * out before it was compared with a digest (DESIGN decision 9).
 *
 * A blob with chunks is checked chunk by chunk. One without is read through once when it is opened, however little of
 * it is read afterwards; only the digests of its blocks are kept (32 bytes for 256 KiB), and what is read later is
 * compared with them. Digests of writes are computed here too.
 */
export class VerifyBlobService implements BlobService {
  readonly #inner: BlobService

  /** @param inner stays the caller's, who closes it */
  constructor(inner: BlobService) {
    this.#inner = inner
  }

  async has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#inner.has(digest, options)
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    const chunks = properList(await this.#inner.chunks(digest, options))
    // Throws for a list that cannot be right.
    return chunks?.length ? new ChunkTable(digest, chunks, BACKEND) && chunks : chunks
  }

  async open(digest: B3Digest, options: CallOptions = {}): Promise<BlobReader | undefined> {
    const chunks = await this.chunks(digest, options)
    if (chunks === undefined) return undefined
    if (chunks.length > 0) {
      const fetch = (chunk: ChunkMeta, call: CallOptions) => getPiece(this.#inner, chunk, BACKEND, call)
      return new ChunkedBlobReader({ digest, chunks, fetch, backend: BACKEND })
    }
    const reader = await this.#inner.open(digest, options)
    if (reader === undefined) return undefined
    try {
      return await checkedReader(digest, reader, options)
    } catch (error) {
      await reader.close()
      throw error
    }
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const content = await this.#inner.get(digest, options)
    if (content === undefined) return undefined
    const { maxSize = DEFAULT_GET_MAX_SIZE } = options
    if (content.length > maxSize) throw new BlobTooLargeError(digest, BigInt(content.length), maxSize)
    expectContent(digest, B3Digest.of(content))
    return content
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new VerifyingBlobWriter(this.#inner.openWrite(), options)
  }

  async put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    const digest = B3Digest.of(content)
    return expectStored(await this.#inner.put(content, options), digest, 'the blob service')
  }
}

/** Reads the blob once, and gives a reader that compares later reads with what was read. Closes `reader` with it. */
async function checkedReader(
  digest: B3Digest,
  reader: BlobReader,
  options: CallOptions,
): Promise<BlobReader> {
  const whole = blake3.hasher()
  const blocks: (ChunkMeta & { readonly at: bigint })[] = []
  let block = new Uint8Array(0)
  for (let at = 0n; at < reader.size; at += BigInt(block.length)) {
    block = new Uint8Array(await reader.readAt(at, BLOCK_SIZE, options))
    if (block.length === 0) break
    whole.update(block)
    blocks.push({ digest: B3Digest.of(block), size: BigInt(block.length), at })
  }
  expectContent(digest, B3Digest.adopt(whole.digest()))
  if (blocks.length <= 1) {
    await reader.close()
    return new MemoryBlobReader(block)
  }
  const places = new Map(blocks.map((placed) => [placed.digest.key, placed.at]))
  return new ClosingReader(
    {
      digest,
      chunks: blocks,
      backend: BACKEND,
      fetch: (chunk, call) => reader.readAt(places.get(chunk.digest.key)!, Number(chunk.size), call),
      verifyWhole: false,
    },
    reader,
  )
}

class ClosingReader extends ChunkedBlobReader {
  readonly #source: BlobReader

  constructor(init: ConstructorParameters<typeof ChunkedBlobReader>[0], source: BlobReader) {
    super(init)
    this.#source = source
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#source.close()
  }
}

function expectContent(digest: B3Digest, actual: B3Digest): void {
  if (actual.equals(digest)) return
  throw new DataLossError(digest, BACKEND, `content of blob ${digest} hashes to ${actual}`)
}

class VerifyingBlobWriter extends BlobWriterBase {
  readonly #writer: BlobWriter
  readonly #hasher: Blake3Hasher = blake3.hasher()

  constructor(writer: BlobWriter, options?: CallOptions) {
    super(options)
    this.#writer = writer
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#hasher.update(bytes)
    await this.#writer.write(bytes, { signal })
  }

  protected drain(signal: AbortSignal): Promise<void> {
    return this.#writer.flush({ signal })
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = B3Digest.adopt(this.#hasher.digest())
    return expectStored(await this.#writer.close({ signal }), digest, 'the blob service')
  }

  protected async discard(reason: unknown): Promise<void> {
    await this.#writer.abort(reason)
  }
}
