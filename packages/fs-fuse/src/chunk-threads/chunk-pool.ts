import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { ReadTicket } from '../content.js'
import type { ChunkName } from '../load-chunk.js'
import {
  Control,
  FEEDS,
  Feed,
  JOB_WORDS,
  JOBS,
  Job,
  MAX_PIECES,
  nextTurn,
  type SharedChunks,
  SLOT_BYTES,
  Slot,
  SlotState,
  shareChunks,
  tellNews,
} from './shared-chunks.js'
import { SharedFiles } from './shared-files.js'

/** Threads that load: some wait for the disk while others expand and hash. */
const LOADERS = 4
const PAGE = 4096
const HIGH = 2 ** 32
const CHUNK_THREAD = import.meta.resolve('@neve/fs-fuse/chunk-thread')
const FEEDER_THREAD = import.meta.resolve('@neve/fs-fuse/page-feeder-thread')

/** A chunk, and where the part of it that is wanted begins and ends, in bytes. */
export interface ChunkPart {
  readonly chunk: ChunkName
  readonly from: number
  readonly to: number
}

/**
 * Chunks in shared memory, and threads that load them: each is read, expanded and verified once, by one thread, while
 * others answer requests. Used by the thread that serves, which alone decides what is dropped: what was used least of late.
 */
export class ChunkPool {
  readonly #engine: Pick<EmbeddedStore, 'locate' | 'openSegment' | 'refresh'>
  readonly #shared: SharedChunks
  readonly #files: SharedFiles
  readonly #threads: readonly Worker[]
  readonly #ended: Promise<unknown>
  /** Slots by the digests of their chunks, the one that was used last at the end. */
  readonly #slots = new Map<string, number>()
  readonly #unused: number[]
  /** For each slot the node that its chunk was fed to last, so that it is not fed again; 0 for none. */
  readonly #fedTo: Float64Array
  #turn = 0

  /**
   * @param engine stays the caller's
   * @param descriptor of the device; open until {@link close} has settled
   * @param cacheBytes how much memory chunks may take; there is a least
   */
  constructor(
    engine: Pick<EmbeddedStore, 'locate' | 'openSegment' | 'refresh'>,
    descriptor: number,
    cacheBytes: number,
  ) {
    this.#engine = engine
    this.#shared = shareChunks(descriptor, cacheBytes)
    this.#files = new SharedFiles(engine, (file) => this.#isRead(file))
    this.#unused = Array.from({ length: this.#shared.slots.length / Slot.words }, (_, slot) => slot)
    this.#fedTo = new Float64Array(this.#unused.length)
    const modules = [FEEDER_THREAD, ...Array.from({ length: LOADERS }, () => CHUNK_THREAD)]
    this.#threads = modules.map((module) => new Worker(new URL(module), { workerData: this.#shared }))
    for (const thread of this.#threads) thread.on('error', () => {})
    this.#ended = Promise.all(this.#threads.map((thread) => once(thread, 'exit')))
  }

  /** Whether a thread takes jobs by now: to load what they need takes them a while. */
  get isUp(): boolean {
    return Atomics.load(this.#shared.control, Control.up) > 0
  }

  /**
   * The parts, if all their chunks are there: good until the next call.
   *
   * @returns undefined when one is not; 'failed' when one could not be loaded, so that the caller had better look
   */
  find(parts: readonly ChunkPart[]): readonly Uint8Array[] | 'failed' | undefined {
    const { slots, bytes } = this.#shared
    const found: Uint8Array[] = []
    for (const { chunk, from, to } of parts) {
      const slot = this.#slots.get(chunk.digest.key)
      if (slot === undefined) return undefined
      const state = Atomics.load(slots, slot * Slot.words + Slot.state)
      if (state === SlotState.failed) {
        this.#slots.delete(chunk.digest.key)
        this.#unused.push(slot)
        return 'failed'
      }
      if (state !== SlotState.ready) return undefined
      found.push(bytes.subarray(slot * SLOT_BYTES + from, slot * SLOT_BYTES + to))
    }
    return found
  }

  /**
   * Loads a chunk here and now, unless somebody did: for the time until there are threads for it. It is found, or found to
   * have failed, if there is room for it.
   *
   * @param load fills memory of the chunk's length with what is verified; says whether it could
   */
  fill(chunk: ChunkName, load: (out: Uint8Array) => boolean): void {
    const slot = this.#slotFor(chunk)
    if (slot === undefined) return
    const { slots, bytes } = this.#shared
    const at = slot * Slot.words + Slot.state
    const { wanted, loading, ready, failed } = SlotState
    if (Atomics.compareExchange(slots, at, wanted, loading) !== wanted) return
    let isSound = false
    try {
      isSound = load(bytes.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + chunk.size))
    } finally {
      Atomics.store(slots, at, isSound ? ready : failed)
      Atomics.notify(slots, at)
    }
  }

  /**
   * Has the chunks loaded, in order, by one thread.
   *
   * @param ticket the request that is to be answered with the parts; undefined when there is none
   * @param inOrder whether they are for somebody who reads in order: then the disk is read in order, too, as the kernel likes
   *   it that reads ahead
   * @returns false when it cannot be done now
   */
  load(parts: readonly ChunkPart[], ticket: ReadTicket | undefined, inOrder: boolean): boolean {
    const { control, jobs, slots } = this.#shared
    const given = Atomics.load(control, Control.jobsGiven)
    const at = ((given >>> 0) % JOBS) * JOB_WORDS
    if (parts.length > MAX_PIECES || Atomics.load(jobs, at + Job.waits) === 1) return false
    const pinned: number[] = []
    for (const { chunk } of parts) {
      const slot = this.#slotFor(chunk)
      if (slot === undefined) {
        for (const one of pinned) Atomics.sub(slots, one * Slot.words + Slot.pins, 1)
        return false
      }
      Atomics.add(slots, slot * Slot.words + Slot.pins, 1)
      pinned.push(slot)
    }
    jobs[at + Job.uniqueLow] = ticket?.uniqueLow ?? 0
    jobs[at + Job.uniqueHigh] = ticket?.uniqueHigh ?? 0
    this.#turn = inOrder ? nextTurn(this.#turn) : this.#turn
    jobs[at + Job.turn] = inOrder ? this.#turn : 0
    jobs[at + Job.pieces] = parts.length
    for (const [index, { from, to }] of parts.entries()) {
      jobs.set([pinned[index]!, from, to], at + Job.first + index * Job.piece)
    }
    Atomics.store(jobs, at + Job.waits, 1)
    Atomics.store(control, Control.jobsGiven, (given + 1) | 0)
    tellNews(this.#shared, Control.jobNews, 1)
    return true
  }

  /**
   * Has a chunk that is there, or will be, put into the kernel's cache, where it is whole pages of a file. Does nothing
   * when it was done, or when there is no time for it: whoever asks for the chunk next may try again.
   *
   * @param start of the chunk in the file, in bytes
   * @param fileSize in bytes
   */
  feed({ digest, size }: ChunkName, node: number, start: number, fileSize: number): void {
    const { control, feeds, slots } = this.#shared
    const slot = this.#slots.get(digest.key)
    const given = Atomics.load(control, Control.feedsGiven)
    const at = ((given >>> 0) % FEEDS) * Feed.words
    if (slot === undefined || this.#fedTo[slot] === node) return
    if (Atomics.load(feeds, at + Feed.waits) === 1) return
    const from = Math.ceil(start / PAGE) * PAGE - start
    const to = start + size === fileSize ? size : size - ((start + size) % PAGE)
    if (to <= from) return
    this.#fedTo[slot] = node
    Atomics.add(slots, slot * Slot.words + Slot.pins, 1)
    const offset = start + from
    feeds.set([1, slot, node | 0, node / HIGH, offset | 0, offset / HIGH, from, to], at)
    Atomics.store(control, Control.feedsGiven, (given + 1) | 0)
    tellNews(this.#shared, Control.feedNews, 1)
  }

  /** Ends the threads, once they have done what they were given. */
  async close(): Promise<void> {
    Atomics.store(this.#shared.control, Control.stop, 1)
    tellNews(this.#shared, Control.jobNews, LOADERS)
    tellNews(this.#shared, Control.feedNews, 1)
    await this.#ended
    this.#files.close()
  }

  /** The slot of a chunk, which takes that of another if need be. */
  #slotFor({ digest, size }: ChunkName): number | undefined {
    if (size > SLOT_BYTES) return undefined
    const known = this.#slots.get(digest.key)
    if (known !== undefined) {
      this.#slots.delete(digest.key)
      this.#slots.set(digest.key, known)
      return known
    }
    const place = this.#find(digest.bytes, size)
    const slot = place === undefined ? undefined : this.#takeUnused()
    if (place === undefined || slot === undefined) return undefined
    const { slots } = this.#shared
    const at = slot * Slot.words
    slots[at + Slot.size] = size
    slots[at + Slot.file] = place.file
    slots[at + Slot.offset] = place.offset
    slots[at + Slot.stored] = place.stored
    new Uint8Array(slots.buffer, 4 * (at + Slot.digest), digest.bytes.length).set(digest.bytes)
    this.#fedTo[slot] = 0
    Atomics.store(slots, at + Slot.state, SlotState.wanted)
    this.#slots.set(digest.key, slot)
    return slot
  }

  /** Where a chunk is stored. */
  #find(digest: Uint8Array, size: number) {
    const location = this.#engine.locate(digest)
    // A thread that never waits would hold on to the state of the tables that it saw first.
    this.#engine.refresh()
    if (location === undefined || location.rawLength !== size) return undefined
    const file = this.#files.of(location.segment)
    return file === undefined ? undefined : { file, offset: location.offset, stored: location.storedLength }
  }

  /** Whether some thread may still read from an open file. */
  #isRead(file: number): boolean {
    const { slots } = this.#shared
    for (let at = 0; at < slots.length; at += Slot.words) {
      const state = Atomics.load(slots, at + Slot.state)
      const reads = state === SlotState.loading || (state === SlotState.wanted && slots[at + Slot.pins]! > 0)
      if (reads && slots[at + Slot.file] === file) return true
    }
    return false
  }

  #takeUnused(): number | undefined {
    const isFree = (slot: number) => Atomics.load(this.#shared.slots, slot * Slot.words + Slot.pins) === 0
    const index = this.#unused.findIndex(isFree)
    if (index >= 0) return this.#unused.splice(index, 1)[0]
    for (const [key, slot] of this.#slots) {
      if (!isFree(slot)) continue
      this.#slots.delete(key)
      return slot
    }
    return undefined
  }
}
