import { B3Digest } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { KEY_LENGTH, KEY_OFFSET } from '@neve/embedded-store/record'
import { encodeChunkList, engineOf } from '../blob/embedded.js'
import {
  type FramedBlob,
  type FramedBlobs,
  type FramedChunk,
  framedBlobs,
  framedChunks,
} from '../blob/framed-blobs.js'
import type { BlobService } from '../blob-service.js'
import { sharedController } from '../concurrency/shared-controller.js'
import type { Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import { DigestFilter } from './digest-filter.js'
import type { ChunkResult, Framing, PackFilesResult, ReadTreeResult } from './file-tasks-protocol.js'
import { contentsOf, type FileContent, recordsOf } from './packed-files.js'

/** Chunks of such average lengths fit the slots of tasks, in bytes. */
const LEAST_AVERAGE = 16 * 1024
const MOST_AVERAGE = 1024 * 1024

/**
 * Stores what tasks have left in their slots: framed records as they are, into an embedded store's segment; zstd frames
 * into a service that keeps such; or the contents, into any other service.
 */
export class ContentStore {
  readonly blobs: BlobService
  readonly #engine: EmbeddedStore | undefined
  readonly #session: WriteSession | undefined
  #framed: FramedBlobs | undefined
  readonly #started = { blobs: new Set<string>(), chunks: new Set<string>() }
  readonly #controllers = new Map<Slot, AbortController>()
  #allNew = true
  readonly #slots: SlotAllowance
  readonly #writing = new Map<Slot, Promise<unknown>[]>()
  readonly #releases = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined
  #lookUp: boolean | undefined
  readonly #appended = new DigestFilter()
  newBytes = 0
  storedBytes = 0

  constructor(blobs: BlobService, session: WriteSession | undefined, slots: SlotAllowance) {
    this.blobs = blobs
    this.#engine = engineOf(blobs)
    this.#session = session
    this.#slots = slots
  }

  /** Finds out what the service takes. Nothing else may be called before it has settled. */
  async prepare(signal: AbortSignal | undefined): Promise<void> {
    if (this.#session !== undefined) return
    const framed = framedBlobs(this.blobs)
    const average = framed?.chunkSizes.average ?? 0
    if (average < LEAST_AVERAGE || average > MOST_AVERAGE) return
    if ((await framed?.takesFrames({ signal })) === true) this.#framed = framed
  }

  /** What tasks make of contents; nothing where they are handed to the service. */
  get framing(): Framing {
    return this.#session === undefined ? this.#framed?.chunkSizes.average : 'records'
  }

  /** The same of files that are larger than a task. */
  get framingOfLarge(): Framing {
    return this.#session !== undefined || framedChunks(this.#framed) !== undefined ? this.framing : undefined
  }

  /** Whether anything was stored when this began that contents could be in already. */
  get lookUp(): boolean {
    this.#lookUp ??= this.#engine !== undefined && this.#engine.count('content') > 0
    return this.#lookUp
  }

  /**
   * Starts to store the contents of one result.
   *
   * @param packed what was made of them; undefined where nothing was
   */
  store(slot: Slot, result: ReadTreeResult, packed: PackFilesResult | undefined): void {
    this.check()
    if (this.#session !== undefined) {
      if (packed === undefined) return
      this.#storeRecords(this.#session, slot, recordsOf(packed))
      if (packed.chunkDigests.length === 0) return
      for (const { digest, chunks } of contentsOf(result, packed)) {
        if (chunks.length > 1) this.#session.put('blobs', digest, encodeChunkList(chunks))
      }
      return
    }
    const framed: FramedBlob[] = []
    for (const file of contentsOf(result, packed)) {
      if (this.#isStarted('blobs', file.digest)) continue
      this.newBytes += file.size
      if (this.#framed !== undefined && file.size > 0) {
        framed.push(this.#framedBlob(slot, file))
        continue
      }
      const content = Uint8Array.prototype.slice.call(slot.raw, file.rawOffset, file.rawOffset + file.size)
      this.hold(slot, this.blobs.put(content, { signal: this.#signalOf(slot) }))
    }
    if (this.#framed === undefined || framed.length === 0) return
    this.hold(slot, this.#framed.putFramed(framed, { signal: this.#signalOf(slot) }))
  }

  /** Starts to store framed chunks. */
  storeChunks(slot: Slot, chunks: readonly ChunkResult[]): void {
    if (this.#session !== undefined) {
      const offsets = chunks.map(({ recordOffset }) => recordOffset).filter((offset) => offset >= 0)
      this.#storeRecords(this.#session, slot, offsets)
      return
    }
    const service = framedChunks(this.#framed)
    if (service !== undefined) {
      const news = chunks.filter((chunk) => !this.#isStarted('chunks', chunk.digest))
      for (const { size, storedLength } of news) {
        this.newBytes += size
        this.storedBytes += storedLength
      }
      const signal = this.#signalOf(slot)
      const framed = news.map((chunk) => framedChunkOf(slot, chunk))
      const putting = service.putFramedChunks(framed, { signal }).then((written) => {
        this.#allNew &&= written
      })
      this.hold(slot, putting)
    }
  }

  #storeRecords(session: WriteSession, slot: Slot, offsets: readonly number[]): void {
    const { packed } = slot
    // Where threads look nothing up, what this ingestion has published already is found here.
    const news = this.lookUp ? offsets : offsets.filter((offset) => !this.#isPublished(packed, offset))
    if (news.length === 0) return
    const { rawBytes, storedBytes, written } = session.appendPacked(packed, news)
    this.newBytes += rawBytes
    this.storedBytes += storedBytes
    this.hold(slot, written)
  }

  /** Whether this ingestion has appended the record before, and others can see it by now. */
  #isPublished(run: Uint8Array, offset: number): boolean {
    const at = offset + KEY_OFFSET
    if (this.#appended.add(run, at)) return false
    return this.#engine?.hasContent(run.subarray(at, at + KEY_LENGTH)) === true
  }

  /** Stores the list of chunks of a blob that has several, when the chunks are. */
  async storeList(digest: Uint8Array, chunks: readonly ChunkResult[]): Promise<void> {
    this.#session?.put('blobs', digest, encodeChunkList(chunks))
    const service = framedChunks(this.#framed)
    if (service === undefined || this.#session !== undefined) return
    await this.settle()
    this.check()
    const list = chunks.map((chunk) => ({ digest: B3Digest.from(chunk.digest), size: chunk.size }))
    await service.putFramedList(B3Digest.from(digest), list, this.#allNew)
  }

  /** Whether this ingestion has stored the same before, or is about to; else it is from now on. */
  #isStarted(kind: 'blobs' | 'chunks', digest: Uint8Array): boolean {
    const started = this.#started[kind]
    const key = Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
    if (started.has(key)) return true
    started.add(key)
    return false
  }

  #framedBlob(slot: Slot, file: FileContent): FramedBlob {
    const chunks = file.chunks.map((chunk) => framedChunkOf(slot, chunk))
    for (const { frame } of chunks) this.storedBytes += frame.length
    return { digest: B3Digest.from(file.digest), chunks }
  }

  /** Gives a slot back once nothing of it is being written any more. */
  releaseWhenStored(slot: Slot): void {
    const writing = this.#writing.get(slot) ?? []
    this.#writing.delete(slot)
    if (writing.length === 0) {
      this.#slots.give(slot)
      return
    }
    const controller = this.#controllers.get(slot)
    const release = Promise.allSettled(writing).then(() => {
      if (this.#controllers.get(slot) === controller) this.#controllers.delete(slot)
      this.#releases.delete(release)
      this.#slots.give(slot)
    })
    this.#releases.add(release)
  }

  /** Stops what was started and has not been finished yet, into any but an embedded store. */
  abort(reason: unknown): void {
    for (const controller of this.#controllers.values()) controller.abort(reason)
  }

  /** Waits for everything that was started. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#releases, ...[...this.#writing.values()].flat()])
  }

  /** @throws the first failure of what was started */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  // One signal for all of them would be slow: adding a listener to it takes a look at all others.
  #signalOf(slot: Slot): AbortSignal {
    let controller = this.#controllers.get(slot)
    if (controller === undefined) {
      controller = sharedController()
      this.#controllers.set(slot, controller)
    }
    return controller.signal
  }

  /** Keeps a slot until this has settled. Should it fail, all fails. */
  hold(slot: Slot, writing: Promise<unknown>): void {
    const tracked = writing.catch((error: unknown) => {
      this.#failure ??= { error }
      this.abort(error)
    })
    const list = this.#writing.get(slot)
    if (list === undefined) this.#writing.set(slot, [tracked])
    else list.push(tracked)
  }
}

function framedChunkOf(slot: Slot, { digest, size, recordOffset, storedLength }: ChunkResult): FramedChunk {
  const frame = slot.packed.subarray(recordOffset, recordOffset + storedLength)
  return { digest: B3Digest.from(digest), size, frame }
}
