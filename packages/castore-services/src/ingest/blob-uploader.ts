import { B3Digest, type Path } from '@neve/castore-model'
import type { BlobService, BlobWriter } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { linkSignals } from '../concurrency/linked-signal.js'
import { type BytePermit, ByteSemaphore } from '../concurrency/semaphore.js'
import { sharedController } from '../concurrency/shared-controller.js'
import { CastoreError } from '../errors.js'
import { DigestMismatchError, IngestError, type IngestErrorCode, UnexpectedSizeError } from './errors.js'

/** Options of a {@link ConcurrentBlobUploader}. */
export interface ConcurrentBlobUploaderInit extends CallOptions {
  /** Blobs below this many bytes are uploaded in the background. Default: 1 MiB. */
  readonly smallBlobSize?: number | undefined
  /** The most bytes to hold for uploads in the background. Default: 128 MiB. */
  readonly bufferSize?: number | undefined
  /** The most uploads in the background at once. Default: 128. */
  readonly maxTasks?: number | undefined
}

/**
 * Uploads the blobs of a source that is read in order, such as an archive (spec 06 section 4): small blobs in the
 * background while the source is read on, large ones as they are read. After the first failure everything else fails
 * with that error.
 *
 * Blobs are sure to be stored when {@link ConcurrentBlobUploader.join} succeeded, not before: put directories after it.
 */
export class ConcurrentBlobUploader implements AsyncDisposable {
  readonly #blobs: Pick<BlobService, 'has' | 'put' | 'openWrite'>
  readonly #smallBlobSize: bigint
  readonly #bytes: ByteSemaphore
  readonly #slots: ByteSemaphore
  readonly #controller = sharedController()
  readonly #running = new Map<string, Promise<void>>()
  readonly #unlisten: () => void
  #failure: { readonly error: unknown } | undefined
  #joined = false

  constructor(
    blobs: Pick<BlobService, 'has' | 'put' | 'openWrite'>,
    {
      smallBlobSize = 1 << 20,
      bufferSize = 128 << 20,
      maxTasks = 128,
      signal,
    }: ConcurrentBlobUploaderInit = {},
  ) {
    this.#blobs = blobs
    this.#smallBlobSize = BigInt(smallBlobSize)
    this.#bytes = new ByteSemaphore(bufferSize)
    this.#slots = new ByteSemaphore(maxTasks)
    const onAbort = () => this.#fail(signal?.reason)
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#unlisten = () => signal?.removeEventListener('abort', onAbort)
  }

  /**
   * Reads a blob to its end and uploads it. A small one is uploaded in the background after this has settled; before
   * it is read, this waits until there is room for it.
   *
   * @param path names the blob in errors
   * @param expectedSize bytes that the source will give; reading stops at the first one too many
   * @param source pieces of any length; none is kept after the next one was asked for
   * @returns the blob's digest
   * @throws UnexpectedSizeError, after which nothing of this blob is visible
   * @throws IngestError `blob-read`, `blob-write`, `blob-finalize`, or the first failure of an upload before
   * @throws CastoreError `closed` after `join`
   */
  async upload(
    path: Path,
    expectedSize: bigint,
    source: AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<B3Digest> {
    if (this.#joined) throw new CastoreError('closed', 'the blob uploader was joined already')
    using linked = linkSignals(this.#controller.signal, options.signal)
    linked.signal.throwIfAborted()
    try {
      return expectedSize < this.#smallBlobSize
        ? await this.#uploadSmall(path, expectedSize, source, linked.signal)
        : await this.#uploadLarge(path, expectedSize, source, linked.signal)
    } catch (error) {
      this.#fail(error)
      throw this.#failure?.error
    }
  }

  /**
   * Waits for all uploads. The uploader takes no more afterwards.
   *
   * @throws the first failure, when nothing runs any more
   */
  async join(): Promise<void> {
    this.#joined = true
    while (this.#running.size > 0) await Promise.all(this.#running.values())
    this.#unlisten()
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Without `join` before it: stops all uploads, and waits until they have stopped. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#joined) this.#fail(new CastoreError('aborted', 'the blob uploader was disposed of'))
    await this.join().catch(() => {})
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { error }
    this.#controller.abort(error)
  }

  async #uploadSmall(
    path: Path,
    expectedSize: bigint,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<B3Digest> {
    const held = await this.#hold(Number(expectedSize), signal)
    let handedOver = false
    try {
      const content = new Uint8Array(Number(expectedSize))
      let at = 0
      for await (const piece of checkedSource(path, expectedSize, source, signal)) {
        content.set(piece, at)
        at += piece.length
      }
      const digest = B3Digest.of(content)
      if (!this.#running.has(digest.key)) {
        this.#start(path, digest, content, held)
        handedOver = true
      }
      return digest
    } finally {
      if (!handedOver) held.release()
    }
  }

  /** Room for one more task with this many bytes. */
  async #hold(size: number, signal: AbortSignal): Promise<Pick<BytePermit, 'release'>> {
    const slot = await this.#slots.acquire(1, { signal })
    try {
      const bytes = await this.#bytes.acquire(size, { signal })
      const release = () => {
        bytes.release()
        slot.release()
      }
      return { release }
    } catch (error) {
      slot.release()
      throw error
    }
  }

  #start(path: Path, digest: B3Digest, content: Uint8Array, held: Pick<BytePermit, 'release'>): void {
    const task = this.#store(path, digest, content)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        held.release()
        this.#running.delete(digest.key)
      })
    this.#running.set(digest.key, task)
  }

  async #store(path: Path, digest: B3Digest, content: Uint8Array): Promise<void> {
    const { signal } = this.#controller
    const present = await labelled('blob-check', path, signal, () => this.#blobs.has(digest, { signal }))
    if (present) return
    const stored = await labelled('blob-write', path, signal, () => this.#blobs.put(content, { signal }))
    if (!stored.equals(digest)) throw new DigestMismatchError('blob-digest-mismatch', digest, stored, path)
  }

  async #uploadLarge(
    path: Path,
    expectedSize: bigint,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<B3Digest> {
    await using writer: BlobWriter = this.#blobs.openWrite({ signal })
    // The writer listens to the signal already: to have each of its calls do so again takes longer than they do.
    for await (const piece of checkedSource(path, expectedSize, source, signal)) {
      await labelled('blob-write', path, signal, () => writer.write(piece))
    }
    return await labelled('blob-finalize', path, signal, () => writer.close())
  }
}

/** The source's pieces, no more of them than announced; complete when it ends. */
async function* checkedSource(
  path: Path,
  expectedSize: bigint,
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let size = 0n
  let ended = false
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await labelled('blob-read', path, signal, () => abortable(iterator.next(), signal))
      if (next.done) {
        ended = true
        break
      }
      size += BigInt(next.value.length)
      if (size > expectedSize) throw new UnexpectedSizeError(path, expectedSize, size)
      yield next.value
    }
    if (size !== expectedSize) throw new UnexpectedSizeError(path, expectedSize, size)
  } finally {
    // A source that is stuck must not keep a cancelled caller waiting.
    const closing = ended ? undefined : iterator.return?.().then(undefined, () => {})
    if (!signal.aborted) await closing
  }
}

const DOING = {
  'blob-read': 'cannot read',
  'blob-check': 'cannot ask the store for',
  'blob-write': 'cannot store',
  'blob-finalize': 'cannot finish storing',
} as const satisfies Partial<Record<IngestErrorCode, string>>

/** Runs a step and says in its error which one it was. A cancelled step keeps the reason. */
async function labelled<T>(
  code: keyof typeof DOING,
  path: Path,
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (signal.aborted) throw signal.reason
    const text = error instanceof Error ? error.message : String(error)
    throw new IngestError(code, `${DOING[code]} '${path}': ${text}`, { path, cause: error })
  }
}
