import type { B3Digest } from '@neve/castore-model'
import {
  type BlobReader,
  type BlobService,
  type BlobWriter,
  BlobWriterBase,
  type ByteRange,
  blobStream,
  type CallOptions,
  CastoreError,
  type ChunkMeta,
  type GetBlobOptions,
} from '@neve/castore-services'

export type BlobCall = 'has' | 'open' | 'openWrite' | 'chunks' | 'get' | 'put'

/** Passes everything on to a real service, counts what it is asked for, and fails on command. */
export class BlobProbe implements BlobService {
  readonly calls: Record<BlobCall, number> = { has: 0, open: 0, openWrite: 0, chunks: 0, get: 0, put: 0 }
  /** Chosen calls reject with what this gives; undefined lets a call through. */
  failure: (call: BlobCall | 'write' | 'close' | 'readAt', digest?: B3Digest) => unknown = () => undefined
  /** Calls that were told to wait do so until this settles. */
  gate: Promise<void> | undefined
  openReaders = 0
  openWriters = 0

  constructor(readonly inner: BlobService) {}

  /** How often it was called at all. */
  get total(): number {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0)
  }

  reset(): void {
    for (const call of Object.keys(this.calls) as BlobCall[]) this.calls[call] = 0
  }

  /** Every call of the given kinds, or every call, fails from now on. */
  fail(code: CastoreError['code'], ...which: string[]): void {
    this.failure = (call) =>
      which.length === 0 || which.includes(call)
        ? new CastoreError(code, `${call} fails on command`)
        : undefined
  }

  heal(): void {
    this.failure = () => undefined
  }

  async #enter(call: BlobCall, digest?: B3Digest): Promise<void> {
    this.calls[call] += 1
    await this.gate
    this.throwIfTold(call, digest)
  }

  throwIfTold(call: Parameters<BlobProbe['failure']>[0], digest?: B3Digest): void {
    const error = this.failure(call, digest)
    if (error !== undefined) throw error
  }

  async has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    await this.#enter('has', digest)
    return this.inner.has(digest, options)
  }

  async open(digest: B3Digest, options?: CallOptions): Promise<BlobReader | undefined> {
    await this.#enter('open', digest)
    const reader = await this.inner.open(digest, options)
    return reader && new ProbedReader(this, reader, digest)
  }

  openWrite(options?: CallOptions): BlobWriter {
    this.calls.openWrite += 1
    return new ProbedWriter(this, options)
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    await this.#enter('chunks', digest)
    return this.inner.chunks(digest, options)
  }

  async get(digest: B3Digest, options?: GetBlobOptions): Promise<Uint8Array | undefined> {
    await this.#enter('get', digest)
    return this.inner.get(digest, options)
  }

  async put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    await this.#enter('put')
    return this.inner.put(content, options)
  }
}

class ProbedReader implements BlobReader {
  readonly #probe: BlobProbe
  readonly #reader: BlobReader
  readonly #digest: B3Digest
  readonly size: bigint
  #open = true

  constructor(probe: BlobProbe, reader: BlobReader, digest: B3Digest) {
    this.#probe = probe
    this.#reader = reader
    this.#digest = digest
    this.size = reader.size
    probe.openReaders += 1
  }

  async readAt(offset: bigint, length: number, options?: CallOptions): Promise<Uint8Array> {
    this.#probe.throwIfTold('readAt', this.#digest)
    return this.#reader.readAt(offset, length, options)
  }

  async *stream(range: ByteRange, options?: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    this.#probe.throwIfTold('readAt', this.#digest)
    yield* blobStream(this.#reader, { ...range, ...options })
  }

  async close(): Promise<void> {
    if (this.#open) this.#probe.openReaders -= 1
    this.#open = false
    await this.#reader.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

class ProbedWriter extends BlobWriterBase {
  readonly #probe: BlobProbe
  readonly #writer: BlobWriter

  constructor(probe: BlobProbe, options?: CallOptions) {
    super(options)
    this.#probe = probe
    this.#writer = probe.inner.openWrite()
    probe.openWriters += 1
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#probe.gate
    this.#probe.throwIfTold('write')
    await this.#writer.write(bytes, { signal })
  }

  protected drain(signal: AbortSignal): Promise<void> {
    return this.#writer.flush({ signal })
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    this.#probe.throwIfTold('close')
    const digest = await this.#writer.close({ signal })
    this.#probe.openWriters -= 1
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    this.#probe.openWriters -= 1
    await this.#writer.abort(reason)
  }
}
