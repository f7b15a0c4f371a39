import type { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { blobStream } from './stream.js'

/** Puts what was read from the far side of a cache into the near one. None of it fails a read. */
export class CacheFills {
  readonly #near: BlobService
  readonly #report: (error: unknown) => void
  readonly #room: ByteSemaphore
  readonly #contents = new Map<string, Uint8Array>()
  readonly #running = new Set<Promise<void>>()
  readonly #pulls = new SingleFlight<string, boolean>()
  readonly #teeing = new Set<string>()

  /** @param bytes how much may wait for the near side at once */
  constructor(near: BlobService, bytes: number, report: (error: unknown) => void) {
    this.#near = near
    this.#room = new ByteSemaphore(bytes)
    this.#report = report
  }

  /** Content that is on its way to the near side. */
  get(digest: B3Digest): Uint8Array | undefined {
    return this.#contents.get(digest.key)
  }

  /** Starts to store content, as soon as there is room for what waits already. */
  async start(digest: B3Digest, content: Uint8Array, options: CallOptions): Promise<void> {
    const { key } = digest
    if (this.#contents.has(key)) return
    const permit = await this.#room.acquire(content.length, options)
    this.#contents.set(key, content)
    const run = this.#put(digest, content).finally(() => {
      permit.release()
      this.#contents.delete(key)
      this.#running.delete(run)
    })
    this.#running.add(run)
  }

  async #put(digest: B3Digest, content: Uint8Array): Promise<void> {
    try {
      expectStored(await this.#near.put(content), digest, 'the near side')
    } catch (error) {
      this.#report(error)
    }
  }

  /**
   * Copies a whole blob to the near side, once for all who ask at the same time.
   *
   * @param source of the far side; stays open
   * @returns whether the near side took it
   * @throws what reading throws
   */
  async pull(digest: B3Digest, source: BlobReader, options: CallOptions): Promise<boolean> {
    const work = async (signal: AbortSignal) => {
      const copy = new FillingCopy(this.#near, digest, source.size, this.#report)
      try {
        for await (const piece of blobStream(source, { signal })) {
          await copy.add(piece)
          if (copy.failed) return false
        }
        return copy.stored
      } finally {
        await copy.stop()
      }
    }
    return this.#pulls.run(digest.key, work, options)
  }

  /** Passes a whole blob through, and stores it on the way. Stopping early stores nothing. */
  async *tee(
    digest: B3Digest,
    size: bigint,
    pieces: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { key } = digest
    if (this.#teeing.has(key)) {
      yield* pieces
      return
    }
    this.#teeing.add(key)
    const copy = new FillingCopy(this.#near, digest, size, this.#report)
    try {
      for await (const piece of pieces) {
        await copy.add(piece)
        yield piece
      }
    } finally {
      this.#teeing.delete(key)
      await copy.stop()
    }
  }

  /** Waits for what runs in the background. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}

/** One blob that is being written to the near side. Its trouble is reported, not thrown. */
class FillingCopy {
  readonly #writer
  readonly #digest: B3Digest
  readonly #report: (error: unknown) => void
  #left: bigint
  failed = false
  stored = false

  constructor(near: BlobService, digest: B3Digest, size: bigint, report: (error: unknown) => void) {
    this.#writer = near.openWrite()
    this.#digest = digest
    this.#left = size
    this.#report = report
  }

  /** Writes a piece; the last one makes the blob visible. */
  async add(piece: Uint8Array): Promise<void> {
    if (this.failed) return
    try {
      await this.#writer.write(piece)
      this.#left -= BigInt(piece.length)
      if (this.#left > 0n) return
      expectStored(await this.#writer.close(), this.#digest, 'the near side')
      this.stored = true
    } catch (error) {
      this.failed = true
      this.#report(error)
    }
  }

  /** After the last piece, or instead of it. */
  async stop(): Promise<void> {
    await this.#writer.abort()
  }
}
