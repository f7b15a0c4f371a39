/** So many roots have a counter of their own; what is open below others is counted together. */
const SLOTS = 65_536
/** That of the others. */
const OTHERS = 0

/** What a serving thread has open, counted where another thread sees it. */
export type OpenCounts = Int32Array<SharedArrayBuffer>

export function openCounts(): OpenCounts {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * SLOTS))
}

/** Counts files that are open below each root, for the thread that holds the lease: it cannot ask one that never waits. */
export class OpenRoots {
  readonly #counts: OpenCounts
  readonly #slots = new Map<string, number>()
  readonly #onRoot: (slot: number, key: Uint8Array) => void

  /** @param onRoot gets the key of each root once, before anything is counted for it */
  constructor(counts: OpenCounts, onRoot: (slot: number, key: Uint8Array) => void) {
    this.#counts = counts
    this.#onRoot = onRoot
  }

  /**
   * Counts a file that is opened.
   *
   * @param key of the path info that is the root
   * @returns to be called once when it is closed
   */
  opened(key: Uint8Array): () => void {
    const slot = this.#slotOf(key)
    Atomics.add(this.#counts, slot, 1)
    return () => void Atomics.sub(this.#counts, slot, 1)
  }

  #slotOf(key: Uint8Array): number {
    const text = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
    const known = this.#slots.get(text)
    if (known !== undefined) return known
    const slot = this.#slots.size + 1
    if (slot >= SLOTS) return OTHERS
    this.#slots.set(text, slot)
    this.#onRoot(slot, key)
    return slot
  }
}

/**
 * The keys of roots below which something is open.
 *
 * @param keys by slot, as they were told
 * @returns undefined where that is not known of everything that is open
 */
export function openRootKeys(counts: OpenCounts, keys: readonly Uint8Array[]): Uint8Array[] | undefined {
  const open: Uint8Array[] = []
  if (Atomics.load(counts, OTHERS) > 0) return undefined
  for (let slot = 1; slot < SLOTS; slot++) {
    if (Atomics.load(counts, slot) === 0) continue
    const key = keys[slot]
    if (key === undefined) return undefined
    open.push(key)
  }
  return open
}
