import type { EmbeddedStore, PackedRecord, WriteSession } from '@neve/embedded-store'
import { RECORD_HEADER } from '@neve/embedded-store/record'
import { encodeChunkList, engineOf } from '../blob/embedded.js'
import type { BlobService } from '../blob-service.js'
import type { Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import type { ChunkResult, FileResult } from './file-tasks-protocol.js'

/** An empty store is asked again whether it still is with every so manyth task. */
const LOOK_EVERY = 16

/**
 * Stores what tasks have left in their slots: framed records as they are, into an embedded store's segment; or the
 * contents, into any other service.
 */
export class ContentStore {
  readonly blobs: BlobService
  readonly #engine: EmbeddedStore | undefined
  readonly #session: WriteSession | undefined
  readonly #slots: SlotAllowance
  readonly #writing = new Map<Slot, Promise<unknown>[]>()
  readonly #releases = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined
  #lookUp = false
  #asked = 0
  newBytes = 0
  storedBytes = 0

  constructor(blobs: BlobService, session: WriteSession | undefined, slots: SlotAllowance) {
    this.blobs = blobs
    this.#engine = engineOf(blobs)
    this.#session = session
    this.#slots = slots
  }

  /** Whether tasks frame records, or contents are handed to the service. */
  get packs(): boolean {
    return this.#session !== undefined
  }

  /** Whether anything is stored yet that contents could be in already. */
  get lookUp(): boolean {
    if (this.#engine !== undefined && !this.#lookUp && this.#asked++ % LOOK_EVERY === 0) {
      this.#lookUp = this.#engine.count('content') > 0
    }
    return this.#lookUp
  }

  /** Starts to store the files of one result. */
  store(slot: Slot, files: readonly FileResult[]): void {
    this.check()
    if (this.#session === undefined) {
      for (const file of files) {
        if (file.large || file.size === 0) continue
        const content = Uint8Array.prototype.slice.call(slot.raw, file.rawOffset, file.rawOffset + file.size)
        this.newBytes += file.size
        this.#track(slot, this.blobs.put(content))
      }
      return
    }
    this.storeChunks(
      slot,
      files.flatMap((file) => file.chunks),
    )
    for (const file of files) {
      if (file.chunks.length > 1 && file.digest !== undefined) this.storeList(file.digest, file.chunks)
    }
  }

  /** Starts to store framed chunks. Runs of records that are wanted are written together. */
  storeChunks(slot: Slot, chunks: readonly ChunkResult[]): void {
    const session = this.#session
    if (session === undefined) return
    let run: ChunkResult[] = []
    const flush = (): void => {
      const first = run[0]
      const last = run.at(-1)
      if (first === undefined || last === undefined) return
      const end = last.recordOffset + RECORD_HEADER + last.storedLength
      const records: PackedRecord[] = run.map((chunk) => ({
        key: chunk.digest,
        offset: chunk.recordOffset - first.recordOffset,
        storedLength: chunk.storedLength,
        rawLength: chunk.size,
      }))
      const bytes = slot.packed.subarray(first.recordOffset, end)
      this.storedBytes += bytes.length
      this.#track(slot, session.appendPacked(bytes, records))
      run = []
    }
    const seen = new Set<string>()
    for (const chunk of chunks) {
      if (chunk.recordOffset < 0) continue
      const text = Buffer.from(chunk.digest).toString('latin1')
      if (seen.has(text) || session.joinPending(chunk.digest)) {
        flush()
        continue
      }
      seen.add(text)
      run.push(chunk)
      this.newBytes += chunk.size
    }
    flush()
  }

  /** Stores the list of chunks of a blob that has several. */
  storeList(digest: Uint8Array, chunks: readonly ChunkResult[]): void {
    this.#session?.put('blobs', digest, encodeChunkList(chunks))
  }

  /** Gives a slot back once nothing of it is being written any more. */
  releaseWhenStored(slot: Slot): void {
    const writing = this.#writing.get(slot) ?? []
    this.#writing.delete(slot)
    if (writing.length === 0) {
      this.#slots.give(slot)
      return
    }
    const release = Promise.allSettled(writing).then(() => {
      this.#releases.delete(release)
      this.#slots.give(slot)
    })
    this.#releases.add(release)
  }

  /** Waits for everything that was started. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#releases, ...[...this.#writing.values()].flat()])
  }

  /** @throws the first failure of what was started */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #track(slot: Slot, writing: Promise<unknown>): void {
    const tracked = writing.catch((error: unknown) => {
      this.#failure ??= { error }
    })
    const list = this.#writing.get(slot)
    if (list === undefined) this.#writing.set(slot, [tracked])
    else list.push(tracked)
  }
}
