import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '@neve/castore-services'

/** The longest that a timer waits, by and large, in milliseconds. */
const LONGEST = 2 ** 30
const LEAST_BURST = 1024 * 1024

/** Lets no more than so many bytes pass in a second, after the first second's worth. */
export class Throttle {
  readonly #rate: number
  #free: number

  /** @param rate in bytes a second; undefined for no limit */
  constructor(rate: number | undefined) {
    this.#rate = rate ?? Number.POSITIVE_INFINITY
    this.#free = performance.now()
  }

  /** How many bytes may be asked for at once without others waiting long for their turn. */
  get burst(): number {
    return Math.max(LEAST_BURST, this.#rate / 4)
  }

  /** Settles when it is the turn of so many bytes. */
  async take(bytes: number, { signal }: CallOptions = {}): Promise<void> {
    const now = performance.now()
    const turn = Math.max(this.#free, now - 1000)
    this.#free = turn + (bytes / this.#rate) * 1000
    for (let left = turn - now; left > 0; left = turn - performance.now()) {
      await sleep(Math.min(left, LONGEST), undefined, { signal })
    }
  }
}
