import { writeSync, writevSync } from 'node:fs'
import { B3Digest } from '@neve/castore-model'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { Errno } from '../errno.js'
import { type ChunkName, chunkReaderOf, loadChunk } from '../load-chunk.js'
import { OUT_HEADER } from '../protocol/constants.js'
import {
  awaitSlot,
  Control,
  JOB_WORDS,
  JOBS,
  Job,
  type SharedChunks,
  SLOT_BYTES,
  Slot,
  SlotState,
  unpin,
} from './shared-chunks.js'

/** Loads chunks into shared memory, and answers the requests that wait for them, until it is told to stop. */
export class ChunkWorker {
  readonly #shared: SharedChunks
  readonly #engine: EmbeddedStore
  readonly #reader: ContentReader
  readonly #head = new DataView(new ArrayBuffer(OUT_HEADER))

  /** @param engine stays the caller's */
  constructor(shared: SharedChunks, engine: EmbeddedStore) {
    this.#shared = shared
    this.#engine = engine
    this.#reader = chunkReaderOf(engine)
  }

  /** Returns when all that was given is done, and there will be no more. */
  run(): void {
    Atomics.add(this.#shared.control, Control.up, 1)
    for (let job = this.#take(); job !== undefined; job = this.#take()) this.#do(job)
  }

  #take(): Int32Array | undefined {
    const { control, jobs } = this.#shared
    for (;;) {
      const news = Atomics.load(control, Control.news)
      const given = Atomics.load(control, Control.jobsGiven)
      const taken = Atomics.load(control, Control.jobsTaken)
      if (given === taken) {
        if (Atomics.load(control, Control.stop) === 1) return undefined
        Atomics.wait(control, Control.news, news)
        continue
      }
      if (Atomics.compareExchange(control, Control.jobsTaken, taken, (taken + 1) | 0) !== taken) continue
      const at = ((taken >>> 0) % JOBS) * JOB_WORDS
      const job = jobs.slice(at, at + JOB_WORDS)
      Atomics.store(jobs, at + Job.waits, 0)
      return job
    }
  }

  #do(job: Int32Array): void {
    const pieces: Uint8Array[] = []
    let whole = true
    for (let at = Job.first, end = at + job[Job.pieces]! * Job.piece; at < end; at += Job.piece) {
      const slot = job[at]!
      this.#load(slot)
      if (!awaitSlot(this.#shared, slot)) whole = false
      const start = slot * SLOT_BYTES
      pieces.push(this.#shared.bytes.subarray(start + job[at + 1]!, start + job[at + 2]!))
    }
    if (job[Job.uniqueLow] !== 0 || job[Job.uniqueHigh] !== 0) this.#answer(job, whole ? pieces : undefined)
    for (let at = Job.first, end = at + job[Job.pieces]! * Job.piece; at < end; at += Job.piece) {
      unpin(this.#shared, job[at]!)
    }
  }

  /** Loads a chunk, unless somebody else does or did. */
  #load(slot: number): void {
    const { slots, bytes } = this.#shared
    const at = slot * Slot.words
    const { wanted, loading } = SlotState
    if (Atomics.compareExchange(slots, at + Slot.state, wanted, loading) !== wanted) return
    const size = slots[at + Slot.size]!
    const digest = new Uint8Array(B3Digest.LENGTH)
    digest.set(new Uint8Array(slots.buffer, 4 * (at + Slot.digest), digest.length))
    const out = bytes.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + size)
    const isLoaded = this.#loads({ digest: B3Digest.from(digest), size }, out)
    // Who serves is asked again for each page of what has failed, looks for itself, and tells of it.
    Atomics.store(slots, at + Slot.state, isLoaded ? SlotState.ready : SlotState.failed)
    Atomics.notify(slots, at + Slot.state)
  }

  #loads(chunk: ChunkName, out: Uint8Array): boolean {
    try {
      return loadChunk(this.#engine, chunk, this.#reader, out) === undefined
    } catch {
      return false
    }
  }

  #answer(job: Int32Array, pieces: readonly Uint8Array[] | undefined): void {
    let length = OUT_HEADER
    for (const piece of pieces ?? []) length += piece.length
    this.#head.setUint32(0, length, true)
    this.#head.setInt32(4, pieces === undefined ? -Errno.EIO : 0, true)
    this.#head.setInt32(8, job[Job.uniqueLow]!, true)
    this.#head.setInt32(12, job[Job.uniqueHigh]!, true)
    try {
      if (pieces === undefined) writeSync(this.#shared.descriptor, this.#head, 0, OUT_HEADER, null)
      else writevSync(this.#shared.descriptor, [this.#head, ...pieces])
    } catch {
      // The request was interrupted, or the connection is gone.
    }
  }
}
