/** The largest chunk that a slot takes, in bytes: what Neve writes is shorter. Larger ones are read by who serves. */
export const SLOT_BYTES: number = 512 * 1024
/** The least number of slots: so many that those of all jobs and feedings leave some to choose from. */
export const LEAST_SLOTS = 48
/** Chunks in one job: a read of 1 MiB has at most so many of what Neve writes. */
export const MAX_PIECES = 10
/** Jobs, and chunks to feed, that may be waiting: powers of two. */
export const JOBS = 32
export const FEEDS = 16

/**
 * A chunk slot's words: {@link SlotState}, how many will still look at it, its length, its digest; then where it is stored:
 * in which open file, from where on, and in how many bytes. Fewer than its length: as a zstd frame.
 */
export const Slot = {
  state: 0,
  pins: 1,
  size: 2,
  digest: 3,
  file: 11,
  offset: 12,
  stored: 13,
  words: 14,
} as const
/** Whoever turns `wanted` into `loading` loads the chunk; who waits for it waits for `loading` to end. */
export const SlotState = { wanted: 0, loading: 1, ready: 2, failed: 3 } as const

/**
 * A job's words: whether it waits to be taken; the request, 0 for none; its turn, 0 for none: those that have one read from
 * the disk one after the other; then for each chunk its slot and a part of it.
 */
export const Job = { waits: 0, uniqueLow: 1, uniqueHigh: 2, turn: 3, pieces: 4, first: 5, piece: 3 } as const
export const JOB_WORDS: number = Job.first + MAX_PIECES * Job.piece

/** The words of a chunk to feed: likewise; its slot; the file's node and the place in it in two halves each; the part. */
export const Feed = { waits: 0, slot: 1, node: 2, offset: 4, from: 6, to: 7, words: 8 } as const

/**
 * Words that all threads look at. Who waits for something to do waits for its news to change, and has looked at them before
 * looking at everything else.
 */
export const Control = {
  stop: 0,
  up: 1,
  jobsTaken: 2,
  jobsGiven: 3,
  feedsGiven: 4,
  jobNews: 5,
  feedNews: 6,
  turn: 7,
  words: 8,
} as const

/** What the threads of a mount share. */
export interface SharedChunks {
  /** The device. */
  readonly descriptor: number
  readonly control: Int32Array
  readonly slots: Int32Array
  readonly jobs: Int32Array
  readonly feeds: Int32Array
  /** {@link SLOT_BYTES} for each slot. */
  readonly bytes: Uint8Array
}

/** @param cacheBytes for chunks */
export function shareChunks(descriptor: number, cacheBytes: number): SharedChunks {
  const count = Math.max(LEAST_SLOTS, Math.floor(cacheBytes / SLOT_BYTES))
  const words = (length: number) => new Int32Array(new SharedArrayBuffer(4 * length))
  const control = words(Control.words)
  control[Control.turn] = nextTurn(0)
  return {
    descriptor,
    control,
    slots: words(count * Slot.words),
    jobs: words(JOBS * JOB_WORDS),
    feeds: words(FEEDS * Feed.words),
    bytes: new Uint8Array(new SharedArrayBuffer(count * SLOT_BYTES)),
  }
}

/**
 * Wakes who waits for something to do.
 *
 * @param what `Control.jobNews` or `Control.feedNews`
 * @param count how many of them
 */
export function tellNews({ control }: SharedChunks, what: number, count: number): void {
  Atomics.add(control, what, 1)
  Atomics.notify(control, what, count)
}

/** Waits until those with an earlier turn have read. */
export function awaitTurn({ control }: SharedChunks, turn: number): void {
  for (;;) {
    const now = Atomics.load(control, Control.turn)
    if (now === turn) return
    Atomics.wait(control, Control.turn, now)
  }
}

/** Lets those with the next turn read. */
export function passTurn({ control }: SharedChunks, turn: number): void {
  Atomics.store(control, Control.turn, nextTurn(turn))
  Atomics.notify(control, Control.turn)
}

/** The turn after this one. The first is that after 0, which is none. */
export function nextTurn(turn: number): number {
  return (turn + 1) | 0 || 1
}

/** Says that one who would look at a slot has done so. */
export function unpin({ slots }: SharedChunks, slot: number): void {
  Atomics.sub(slots, slot * Slot.words + Slot.pins, 1)
}

/** @returns whether the chunk is there, once it is known */
export function awaitSlot({ slots }: SharedChunks, slot: number): boolean {
  const at = slot * Slot.words + Slot.state
  for (;;) {
    const state = Atomics.load(slots, at)
    if (state === SlotState.ready || state === SlotState.failed) return state === SlotState.ready
    Atomics.wait(slots, at, state)
  }
}
