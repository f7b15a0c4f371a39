import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Compaction,
  type CompactionOptions,
  compactSegments,
  type SegmentUse,
  segmentUses,
} from './compaction.js'
import type { CollectorState, Condemnable } from './condemned.js'
import { encodeEntry } from './entry-record.js'
import { EmbeddedStoreError } from './errors.js'
import { LockFile } from './file-lock.js'
import { type Lease, type LeaseHolder, leasesIn } from './lease.js'
import { packedBound, packRecord } from './record.js'
import { isCrowded, setReserveAside, useReserve } from './reserve.js'
import { SegmentWriter } from './segment-writer.js'
import { encodeSegmentState, segmentKey } from './table-values.js'
import type { Tables } from './tables.js'
import { cutTails } from './tails.js'

/** What a collector works on. */
export interface CollectorContext {
  readonly leases: string
  readonly segments: string
  readonly tables: Tables
  readonly salt: number
  readonly segmentSize: number
  /** That of the collecting instance itself, which leans on nothing. */
  readonly lease: Lease
}

/** Something in the store, and what it is. */
export interface StoredKey {
  readonly what: Condemnable
  readonly key: Uint8Array
}

/** Something that was condemned, and in which epoch. */
export interface CondemnedKey extends StoredKey {
  readonly epoch: number
}

/** So many keys go into one transaction: others who write wait for it. */
const TRANSACTION = 2000
/** On a disk that is almost full: each may be on a page of its own, in several tables, and all of these are written anew. */
const SMALL_TRANSACTION = 64
const COLLECTOR = 'collector'
const SWEEP = 'sweep'
const POLL = 20

/**
 * The garbage collector's hand in the engine. It knows nothing of what refers to what: callers say what is garbage, and
 * in which order it goes. Why nothing that lives is lost: see the README of this package.
 */
export class Collector {
  readonly #context: CollectorContext
  readonly #lock: LockFile
  #segment: SegmentWriter | undefined
  #cutShort = false

  private constructor(context: CollectorContext, lock: LockFile) {
    this.#context = context
    this.#lock = lock
  }

  /** @throws {@link EmbeddedStoreError} `busy`, `no-permission` */
  static start(context: CollectorContext): Collector {
    const lock = LockFile.tryTake(join(context.leases, COLLECTOR))
    if (lock === undefined)
      throw new EmbeddedStoreError('busy', 'somebody else collects garbage in this store')
    if (isCrowded(context.segments)) useReserve(context.segments)
    return new Collector(context, lock)
  }

  /**
   * Waits until nobody lifts condemnations any more, and keeps others from it until it is disposed of: what is marked
   * meanwhile stays marked.
   */
  async alone(signal?: AbortSignal): Promise<Disposable> {
    for (;;) {
      signal?.throwIfAborted()
      const lock = LockFile.tryTake(join(this.#context.leases, SWEEP))
      if (lock !== undefined) return lock
      await sleep(POLL)
    }
  }

  get state(): CollectorState {
    return this.#context.tables.condemned.state()
  }

  /** Those who have the store open for writing, but the collector itself. */
  holders(): LeaseHolder[] {
    return leasesIn(this.#context.leases).filter(({ path }) => !this.#context.lease.is(path))
  }

  /**
   * The epoch up to which nobody who is at work leans on what was condemned. Mark after asking, not before.
   */
  safeEpoch(): number {
    this.#context.tables.refresh()
    const epochs = this.holders().map(({ epoch }) => epoch)
    return Math.min(this.state.epoch, ...epochs)
  }

  /**
   * Waits until the safe epoch is that of now, or the time is over.
   *
   * @param patience in milliseconds
   * @returns who is still at work since before
   */
  async settled(patience: number, signal?: AbortSignal): Promise<readonly LeaseHolder[]> {
    const { epoch } = this.state
    for (const until = performance.now() + patience; ; await sleep(POLL)) {
      signal?.throwIfAborted()
      const left = this.holders().filter((holder) => holder.epoch < epoch)
      if (left.length === 0 || performance.now() > until) return left
    }
  }

  /** All that is condemned. */
  condemned(): Iterable<CondemnedKey> {
    this.#context.tables.refresh()
    return this.#context.tables.condemned.entries()
  }

  /**
   * Condemns, and begins a new epoch: whoever begins to work from then on takes all of this for absent. Where the disk is
   * full, it stops when there is no more room: see {@link cutShort}.
   *
   * @returns the epoch
   */
  async condemn(keys: Iterable<StoredKey>): Promise<number> {
    const { tables } = this.#context
    this.#cutShort = false
    tables.refresh()
    const { epoch: last, sequence: lastSequence, condemned } = this.state
    const epoch = last + 1
    for (const some of batchesOf(keys, this.#atOnce())) {
      try {
        // One has to be left for the new epoch.
        await tables.transact(some.length + 1, (change) => {
          for (const { what, key } of some) change.condemned.add(what, key, epoch)
        })
      } catch (error) {
        if (!(error instanceof EmbeddedStoreError && error.code === 'no-space')) throw error
        this.#cutShort = true
        break
      }
    }
    const time = Date.now()
    // The end of the millisecond: changes that were recorded in it before have smaller numbers.
    const sequence = Math.max(time * 1000 + 999, lastSequence + 1)
    const state = { epoch, sequence, condemned: [...condemned, { epoch, time, sequence }] }
    await tables.transact(1, (change) => change.condemned.setState(state))
    return epoch
  }

  /** Whether there was no room to condemn all: collect again once this is gone. */
  get cutShort(): boolean {
    return this.#cutShort
  }

  #atOnce(): number {
    return isCrowded(this.#context.segments) ? SMALL_TRANSACTION : TRANSACTION
  }

  /** Lifts condemnations. */
  lift(keys: Iterable<StoredKey>): Promise<void> {
    return liftAll(this.#context.tables, keys)
  }

  /**
   * Removes what is still condemned, in this order, up to an epoch that is safe. What refers to something must come
   * before it: then whatever interrupts this, and whatever a rebuild finds of it, nothing is left that refers to what
   * is gone.
   *
   * @returns what was removed, as each part of it is on disk
   */
  async *sweep(
    keys: Iterable<StoredKey>,
    upTo: number,
  ): AsyncGenerator<readonly StoredKey[], void, undefined> {
    const { tables } = this.#context
    cutTails(this.#context.segments, tables)
    const sequences = new Map(this.state.condemned.map(({ epoch, sequence }) => [epoch, sequence]))
    let failed = false
    try {
      for (const some of batchesOf(keys, this.#atOnce())) {
        tables.refresh()
        const due = some.flatMap((one) => {
          const epoch = tables.condemned.epochOf(one.what, one.key)
          if (epoch === undefined || epoch > upTo) return []
          return [{ ...one, sequence: sequences.get(epoch) ?? this.state.sequence }]
        })
        if (due.length === 0) continue
        const written = await this.#record(due)
        const removed = await tables.transact(3 * due.length, (change) => {
          if (written !== undefined) {
            change.segments.putSync(segmentKey(written.id), encodeSegmentState(written.state) as Buffer)
          }
          return due.filter(({ what, key }) => {
            // Whoever has written it again in the meantime has lifted the condemnation with that.
            const epoch = change.condemned.epochOf(what, key)
            if (epoch === undefined || epoch > upTo) return false
            change.condemned.removeSync(what, key)
            if (what === 'content') change.index.removeSync(key)
            else change.entries[what]?.removeSync(key)
            if (what === 'pathInfos') change.entries.used?.removeSync(key)
            return true
          })
        })
        yield removed
      }
    } catch (error) {
      failed = true
      throw error
    } finally {
      await this.#segment?.close(tables)
      this.#segment = undefined
      if (!failed) await this.#forgetEpochs()
    }
  }

  /** Records removals, so that a rebuild knows of them. Their numbers are those of the condemnation: writing again goes above them. */
  async #record(keys: readonly (StoredKey & { readonly sequence: number })[]) {
    const { tables, salt, segmentSize, segments } = this.#context
    const records: Uint8Array[] = []
    for (const { what, key, sequence } of keys) {
      if (what === 'content') continue
      const record = encodeEntry({ table: what, key, sequence, value: undefined })
      if (record === undefined) continue
      const packed = new Uint8Array(packedBound(record.content.length))
      const length = packRecord(packed, 0, record.kind, record.key, record.content, salt)
      records.push(packed.subarray(0, length))
    }
    if (records.length === 0) return undefined
    if (this.#segment !== undefined && this.#segment.length >= segmentSize) {
      await this.#segment.close(tables)
      this.#segment = undefined
    }
    this.#segment ??= SegmentWriter.acquire(segments, tables, salt, segmentSize)
    void this.#segment.append([Buffer.concat(records)])
    const { id, length } = this.#segment
    return { id, state: await this.#segment.sync(length >= segmentSize) }
  }

  /** Forgets the epochs of which nothing is left. */
  async #forgetEpochs(): Promise<void> {
    const { tables } = this.#context
    const { condemned, ...rest } = this.state
    const left = new Set<number>()
    for (const { epoch } of this.condemned()) left.add(epoch)
    const still = condemned.filter(({ epoch }) => left.has(epoch))
    if (still.length === condemned.length && left.size > 0) return
    await tables.transact(1, (change) => {
      if (left.size === 0) change.condemned.setNone()
      change.condemned.setState({ ...rest, condemned: still })
    })
  }

  /** The segments, and how much of each is needed. */
  segmentUses(): SegmentUse[] {
    this.#context.tables.refresh()
    return segmentUses(this.#context.tables)
  }

  /**
   * Copies what is needed out of segments of which little is, and removes them. Readers and writers go on; who finds a
   * segment gone looks into the index once more.
   */
  compact(options?: CompactionOptions): AsyncGenerator<Compaction, void, undefined> {
    return compactSegments(this.#context, options)
  }

  /** Lets others collect. Calling it again does nothing. */
  close(): void {
    setReserveAside(this.#context.segments)
    this.#lock.release()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Lifts condemnations, for somebody who does not collect.
 *
 * @param keys asked for once nobody marks and sweeps
 * @returns false while somebody does
 */
export async function liftBeside(
  leases: string,
  tables: Tables,
  keys: Iterable<StoredKey>,
): Promise<boolean> {
  using lock = LockFile.tryTake(join(leases, SWEEP))
  if (lock === undefined) return false
  tables.refresh()
  // The lock is held until others see it.
  await liftAll(tables, keys)
  return true
}

async function liftAll(tables: Tables, keys: Iterable<StoredKey>): Promise<void> {
  for (const some of batchesOf(keys, TRANSACTION)) {
    await tables.transact(some.length, (change) => {
      for (const { what, key } of some) change.condemned.removeSync(what, key)
    })
  }
}

function* batchesOf(keys: Iterable<StoredKey>, size: number): Generator<StoredKey[], void, undefined> {
  let some: StoredKey[] = []
  for (const { what, key } of keys) {
    some.push({ what, key: Uint8Array.prototype.slice.call(key) })
    if (some.length < size) continue
    yield some
    some = []
  }
  if (some.length > 0) yield some
}
