/** Something that holds bytes of requests. */
export interface RequestHolder {
  /** How many bytes it holds. */
  readonly held: number
  /** Gives them up, since all together hold too much. */
  evict(): void
}

/**
 * What all calls of a server hold of requests that nobody has taken yet. When it is too much, whoever holds most is cut
 * off: that is not the one who sends small messages, and not the one whose messages are taken.
 */
export class HeldRequests {
  readonly #limit: number
  readonly #holders = new Set<RequestHolder>()
  #total = 0

  /** @param limit bytes */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Says that a holder holds more or less than before. */
  changed(holder: RequestHolder, before: number): void {
    const { held } = holder
    this.#total += held - before
    if (held === 0) this.#holders.delete(holder)
    else if (before === 0) this.#holders.add(holder)
    while (this.#total > this.#limit) this.#largest().evict()
  }

  #largest(): RequestHolder {
    let largest: RequestHolder | undefined
    for (const holder of this.#holders) {
      if (largest === undefined || holder.held > largest.held) largest = holder
    }
    return largest!
  }
}
