import { LruMap } from '@neve/castore-services'
import type { NarBatch } from './nar-batches.js'

/** How much of plans is kept, in bytes. */
const CAPACITY = 32 * 1024 * 1024
/** How many NARs are known to have been asked for once. */
const SEEN = 1000
/** What the objects around the bytes of a batch take, in bytes. */
const OVERHEAD = 1024

interface Plan {
  readonly batches: NarBatch[]
  size: number
}

/**
 * The plans of NARs that are asked for again and again: what their directories and chunk lists say does not change, so
 * neither has to be read and decoded each time. Content is no part of a plan. A NAR that is asked for once leaves nothing
 * here.
 */
export class NarPlans {
  readonly #capacity: number
  /** The one that was used last is at the end. */
  readonly #kept = new Map<string, Plan>()
  readonly #seen = new LruMap<string, true>(SEEN)
  /** Names of plans that are being recorded: of clients that are slow one is enough. */
  readonly #recording = new Set<string>()
  /** Of all that is kept and recorded. */
  #size = 0

  /** @param capacity in bytes, of all plans together; one may have half of it */
  constructor(capacity = CAPACITY) {
    this.#capacity = capacity
  }

  /** Whether there is a plan. */
  has(name: string): boolean {
    return this.#kept.has(name)
  }

  /**
   * The batches of a NAR, as they were made before, or as they are made now. Those are kept from the second time on, if all
   * of them were asked for.
   *
   * @param name of the NAR, and of all that its batches depend on
   * @param make plans it
   * @param isUsual whether what was made is fit to be kept; asked at its end
   */
  async *batches(
    name: string,
    make: () => AsyncIterable<NarBatch>,
    isUsual: () => boolean = () => true,
  ): AsyncGenerator<NarBatch, void, undefined> {
    const kept = this.#kept.get(name)
    if (kept !== undefined) {
      this.#kept.delete(name)
      this.#kept.set(name, kept)
      yield* kept.batches
      return
    }
    if (this.#seen.get(name) === undefined || this.#recording.has(name)) {
      this.#seen.set(name, true)
      yield* make()
      return
    }
    yield* this.#recorded(name, make, isUsual)
  }

  async *#recorded(
    name: string,
    make: () => AsyncIterable<NarBatch>,
    isUsual: () => boolean,
  ): AsyncGenerator<NarBatch, void, undefined> {
    let plan: Plan | undefined = { batches: [], size: 0 }
    this.#recording.add(name)
    const drop = (): void => {
      this.#size -= plan?.size ?? 0
      plan = undefined
    }
    try {
      for await (const batch of make()) {
        if (plan !== undefined) {
          const size = sizeOf(batch)
          plan.batches.push(batch)
          plan.size += size
          this.#size += size
          if (plan.size > this.#capacity / 2 || !this.#makeRoom()) drop()
        }
        yield batch
      }
      // Somebody may have called it off meanwhile.
      if (plan !== undefined && isUsual() && this.#recording.has(name)) {
        this.#kept.set(name, plan)
        plan = undefined
      }
    } finally {
      drop()
      this.#recording.delete(name)
    }
  }

  /** Lets go of a plan that may not hold any more, also of one that is being recorded. */
  forget(name: string): void {
    this.#recording.delete(name)
    const plan = this.#kept.get(name)
    if (plan === undefined) return
    this.#kept.delete(name)
    this.#size -= plan.size
  }

  /** @returns whether there is enough: where plans that are being recorded take it all, there is none */
  #makeRoom(): boolean {
    for (const oldest of this.#kept.keys()) {
      if (this.#size <= this.#capacity) break
      this.forget(oldest)
    }
    return this.#size <= this.#capacity
  }
}

function sizeOf({ digests, sizes, literal, gaps }: NarBatch): number {
  return digests.byteLength + sizes.byteLength + literal.byteLength + gaps.byteLength + OVERHEAD
}
