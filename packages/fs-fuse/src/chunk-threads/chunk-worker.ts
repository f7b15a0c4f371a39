import { readSync, writeSync, writevSync } from 'node:fs'
import { blake3, equalBytes } from '@neve/castore-model'
import { expandInto, RECORD_HEADER } from '@neve/embedded-store/record'
import { Errno } from '../errno.js'
import { OUT_HEADER } from '../protocol/constants.js'
import {
  awaitSlot,
  awaitTurn,
  Control,
  JOB_WORDS,
  JOBS,
  Job,
  passTurn,
  type SharedChunks,
  SLOT_BYTES,
  Slot,
  SlotState,
  unpin,
} from './shared-chunks.js'

/** Loads chunks into shared memory, and answers the requests that wait for them, until it is told to stop. */
export class ChunkWorker {
  readonly #shared: SharedChunks
  readonly #head = new DataView(new ArrayBuffer(OUT_HEADER))
  /** Room for frames as they are stored, one for each chunk of a job. */
  readonly #frames: Buffer[] = []

  constructor(shared: SharedChunks) {
    this.#shared = shared
  }

  /** Returns when all that was given is done, and there will be no more. */
  run(): void {
    Atomics.add(this.#shared.control, Control.up, 1)
    for (let job = this.#take(); job !== undefined; job = this.#take()) this.#do(job)
  }

  #take(): Int32Array | undefined {
    const { control, jobs } = this.#shared
    for (;;) {
      const news = Atomics.load(control, Control.jobNews)
      const given = Atomics.load(control, Control.jobsGiven)
      const taken = Atomics.load(control, Control.jobsTaken)
      if (given === taken) {
        if (Atomics.load(control, Control.stop) === 1) return undefined
        Atomics.wait(control, Control.jobNews, news)
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
    const slots = Array.from({ length: job[Job.pieces]! }, (_, n) => job[Job.first + n * Job.piece]!)
    const turn = job[Job.turn]!
    if (turn !== 0) awaitTurn(this.#shared, turn)
    const claimed = slots.filter((slot) => this.#claim(slot))
    // Nobody is waited for here: whoever is may wait for the next turn.
    const frames = claimed.map((slot, n) => this.#read(slot, n))
    if (turn !== 0) passTurn(this.#shared, turn)
    for (const [n, slot] of claimed.entries()) this.#finish(slot, frames[n])
    const whole = slots.map((slot) => awaitSlot(this.#shared, slot)).every(Boolean)
    if (job[Job.uniqueLow] !== 0 || job[Job.uniqueHigh] !== 0) {
      this.#answer(job, whole ? slots.map((slot, n) => this.#part(job, slot, n)) : undefined)
    }
    for (const slot of slots) unpin(this.#shared, slot)
  }

  #part(job: Int32Array, slot: number, n: number): Uint8Array {
    const at = Job.first + n * Job.piece
    return this.#shared.bytes.subarray(slot * SLOT_BYTES + job[at + 1]!, slot * SLOT_BYTES + job[at + 2]!)
  }

  /** @returns whether the chunk is this thread's to load: nobody else does or did */
  #claim(slot: number): boolean {
    const { wanted, loading } = SlotState
    return (
      Atomics.compareExchange(this.#shared.slots, slot * Slot.words + Slot.state, wanted, loading) === wanted
    )
  }

  /** Reads what is stored: into the slot, if that is the chunk itself. @returns it, or undefined when it cannot be read */
  #read(slot: number, n: number): Uint8Array | undefined {
    const { slots } = this.#shared
    const at = slot * Slot.words
    const length = slots[at + Slot.stored]!
    let out = this.#content(slot)
    if (length !== out.length) {
      this.#frames[n] ??= Buffer.allocUnsafeSlow(SLOT_BYTES)
      out = this.#frames[n].subarray(0, length)
    }
    const from = (slots[at + Slot.offset]! >>> 0) + RECORD_HEADER
    try {
      return readSync(slots[at + Slot.file]!, out, 0, length, from) === length ? out : undefined
    } catch {
      return undefined
    }
  }

  /** Expands and verifies a chunk that was read. */
  #finish(slot: number, stored: Uint8Array | undefined): void {
    const { slots } = this.#shared
    const at = slot * Slot.words
    const out = this.#content(slot)
    const isThere = stored !== undefined && (stored.length === out.length || expandInto(out, stored))
    const digest = new Uint8Array(slots.buffer, 4 * (at + Slot.digest), 32)
    // Who serves is asked again for each page of what has failed, looks for itself, and tells of it.
    const isSound = isThere && equalBytes(blake3.digest(out), digest)
    Atomics.store(slots, at + Slot.state, isSound ? SlotState.ready : SlotState.failed)
    Atomics.notify(slots, at + Slot.state)
  }

  #content(slot: number): Uint8Array {
    const size = this.#shared.slots[slot * Slot.words + Slot.size]!
    return this.#shared.bytes.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + size)
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
