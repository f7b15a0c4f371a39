import { B3Digest, blake3, equalBytes } from '@neve/castore-model'
import { type CallOptions, mapOrdered } from '@neve/castore-services'
import {
  BATCH_ROOM,
  RecordBatch,
  RecordCheckThreads,
  type RecordList,
  type Slot,
  SlotAllowance,
} from '@neve/castore-services/blob/record-check'
import type { EmbeddedStore, Location } from '@neve/embedded-store'
import type { Throttle } from './throttle.js'

/** An entry of a list of chunks: digest and length. */
const LIST_ENTRY = 36
/** Blobs of one {@link ContentCheck} that are larger than a batch, at once. */
const LARGE_AT_ONCE = 2

/** Is told what was found out about blobs, in no particular order. */
export interface ContentOutcome {
  /** @param at where the digest begins */
  sound(digests: Uint8Array, at: number, size: number): void
  /** Something seems to be wrong with it; what, is to be found out. The digest is good for the call only. */
  suspect(digest: Uint8Array, size: number): void
}

interface Large {
  readonly digest: Uint8Array
  readonly size: number
  readonly list: Buffer
  readonly chunks: readonly Location[]
}

/** Threads that find out which blobs of an embedded store are sound. Close it when nothing runs any more. */
export class ContentChecks {
  readonly engine: EmbeddedStore
  readonly throttle: Throttle
  readonly threads: RecordCheckThreads
  readonly slots: SlotAllowance
  /** Bytes of content that are read together. */
  readonly batchBytes: number

  constructor(engine: EmbeddedStore, throttle: Throttle) {
    this.engine = engine
    this.throttle = throttle
    this.threads = new RecordCheckThreads(engine)
    this.slots = new SlotAllowance(this.threads, 2 * this.threads.count + 1)
    this.batchBytes = Math.min(BATCH_ROOM, throttle.burst)
    // They need a while, in which it can be found out what there is for them to do.
    this.threads.start()
  }

  close(): Promise<void> {
    return this.threads.close()
  }
}

/**
 * Finds out in threads which blobs are sound, many at once: their records are read in the order in which they are asked for,
 * expanded and hashed.
 */
export class ContentCheck {
  readonly #with: ContentChecks
  readonly #told: ContentOutcome
  readonly #running = new Set<Promise<void>>()
  readonly #large = new Set<Promise<void>>()
  #batch: RecordBatch
  #failure: { readonly error: unknown } | undefined

  constructor(checks: ContentChecks, told: ContentOutcome) {
    this.#with = checks
    this.#told = told
    this.#batch = new RecordBatch(checks.batchBytes)
  }

  /**
   * Takes a blob.
   *
   * @param size what it is said to have, in bytes
   * @returns what is to be waited for before the next, if anything
   * @throws what makes threads fail; the signal's reason
   */
  add(digest: Uint8Array, size: number, options: CallOptions): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error
    const { engine } = this.#with
    const location = engine.locate(digest)
    if (location !== undefined) {
      if (location.rawLength !== size || !RecordBatch.holds(location)) this.#told.suspect(digest, size)
      else return this.#put((batch) => batch.add(digest, location), options)
      return undefined
    }
    const list = engine.get('blobs', digest)
    if (list !== undefined) return this.#addChunks(digest, size, list, options)
    if (size === 0 && B3Digest.EMPTY.equals(B3Digest.from(digest))) this.#told.sound(digest, 0, 0)
    else this.#told.suspect(digest, size)
    return undefined
  }

  /** Settles when all that was added has been looked at. @throws as {@link add} */
  async finish(options: CallOptions): Promise<void> {
    if (this.#batch.records > 0) await this.#send(this.#next(), options)
    while (this.#running.size > 0 || this.#large.size > 0)
      await Promise.all([...this.#running, ...this.#large])
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #addChunks(
    digest: Uint8Array,
    size: number,
    bytes: Uint8Array,
    options: CallOptions,
  ): Promise<void> | undefined {
    const list = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const chunks = list.length % LIST_ENTRY === 0 ? this.#locate(list) : undefined
    const length = chunks?.reduce((sum, { rawLength }) => sum + rawLength, 0)
    if (chunks === undefined || chunks.length === 0 || length !== size) {
      this.#told.suspect(digest, size)
      return undefined
    }
    const fits = (batch: RecordBatch): boolean => batch.addChunks(digest, list, LIST_ENTRY, chunks)
    const alone = new RecordBatch()
    if (size < BATCH_ROOM && alone.addChunks(digest, list, LIST_ENTRY, chunks)) {
      return this.#put(fits, options, alone)
    }
    return this.#startLarge({ digest: Uint8Array.from(digest), size, list, chunks }, options)
  }

  /** @returns where the chunks lie, if all of them are there with the lengths that they should have */
  #locate(list: Buffer): readonly Location[] | undefined {
    const chunks: Location[] = []
    for (let at = 0; at < list.length; at += LIST_ENTRY) {
      const location = this.#with.engine.locate(list.subarray(at, at + 32))
      if (location?.rawLength !== list.readUInt32LE(at + 32) || !RecordBatch.holds(location)) return undefined
      chunks.push(location)
    }
    return chunks
  }

  /** @param add puts something into a batch; a new one has room for it, but may be given with it: `next` */
  #put(
    add: (batch: RecordBatch) => boolean,
    options: CallOptions,
    next?: RecordBatch,
  ): Promise<void> | undefined {
    if (add(this.#batch)) return undefined
    const full = this.#next(next)
    if (next === undefined) add(this.#batch)
    return full.records === 0 ? undefined : this.#send(full, options)
  }

  #next(next = new RecordBatch(this.#with.batchBytes)): RecordBatch {
    const full = this.#batch
    this.#batch = next
    return full
  }

  /** Settles when a thread has it. */
  async #send(batch: RecordBatch, options: CallOptions): Promise<void> {
    const { bytes } = batch
    const list = batch.list()
    const slot = await this.#slotFor(bytes, options)
    const check = async (): Promise<void> => {
      try {
        const { unsound } = await this.#with.threads.run({ slot, ...list, keeps: false })
        this.#tell(list, unsound)
      } finally {
        this.#with.slots.give(slot)
      }
    }
    this.#watch(this.#running, check())
  }

  async #slotFor(bytes: number, options: CallOptions): Promise<Slot> {
    await this.#with.throttle.take(bytes, options)
    return this.#with.slots.take(options)
  }

  #watch(among: Set<Promise<void>>, work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => among.delete(watched))
    among.add(watched)
  }

  #tell({ digests, places, counts, wholes }: RecordList, unsound: readonly number[]): void {
    let record = 0
    let whole = 0
    let next = 0
    for (const [blob, count] of counts.entries()) {
      const [from, at] = count === 0 ? [digests, 32 * record] : [wholes, whole]
      let size = 0
      for (const last = record + Math.max(count, 1); record < last; record++) size += places[4 * record + 3]!
      if (count > 0) whole += 32
      if (unsound[next] !== blob) this.#told.sound(from, at, size)
      else {
        next++
        this.#told.suspect(from.subarray(at, at + 32), size)
      }
    }
  }

  async #startLarge(large: Large, options: CallOptions): Promise<void> {
    while (this.#large.size >= LARGE_AT_ONCE) await Promise.race(this.#large)
    const { digest, size } = large
    const check = async (): Promise<void> => {
      if (await this.#isSound(large, options)) this.#told.sound(digest, 0, size)
      else this.#told.suspect(digest, size)
    }
    this.#watch(this.#large, check())
  }

  /** Whether a blob of more than one batch is sound: threads check the chunks, and what they have read is hashed here. */
  async #isSound({ digest, list, chunks }: Large, options: CallOptions): Promise<boolean> {
    const { threads, slots } = this.#with
    const hasher = blake3.hasher()
    const held = new Set<Slot>()
    let sound = true
    const check = async (batch: RecordBatch, signal: AbortSignal) => {
      const slot = await this.#slotFor(batch.bytes, { signal })
      held.add(slot)
      const records = batch.list()
      return { slot, places: records.places, ...(await threads.run({ slot, ...records, keeps: true })) }
    }
    try {
      const batches = mapOrdered(this.#batchesOf(list, chunks), 2 * threads.count + 1, check, options)
      for await (const { slot, places, unsound, starts } of batches) {
        sound &&= unsound.length === 0
        if (sound) {
          for (const [index, start] of starts!.entries())
            hasher.update(slot.raw.subarray(start, start + places[4 * index + 3]!))
        }
        held.delete(slot)
        slots.give(slot)
      }
    } finally {
      // Others wait for them, even if this one failed.
      for (const slot of held) slots.give(slot)
    }
    return sound && equalBytes(hasher.digest(), digest)
  }

  *#batchesOf(list: Buffer, chunks: readonly Location[]): Generator<RecordBatch, void, undefined> {
    let batch = new RecordBatch(this.#with.batchBytes)
    for (const [index, location] of chunks.entries()) {
      const digest = list.subarray(index * LIST_ENTRY, index * LIST_ENTRY + 32)
      if (batch.add(digest, location)) continue
      yield batch
      batch = new RecordBatch(this.#with.batchBytes)
      batch.add(digest, location)
    }
    yield batch
  }
}
