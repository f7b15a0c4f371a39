import type { CallOptions } from '../call-options.js'
import { abortable } from './abortable.js'
import { sharedController } from './shared-controller.js'

interface Flight<V> {
  readonly result: Promise<V>
  readonly controller: AbortController
  passengers: number
}

/** Lets equal calls that overlap share one piece of work (DESIGN decision 14). */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Flight<V>>()

  /** How many pieces of work run now. */
  get size(): number {
    return this.#flights.size
  }

  /**
   * Joins the work that runs for the key, or starts it. All who joined get the same value or the same error; nothing
   * is remembered once it settled.
   *
   * @param key compared as a Map does: use text for a digest
   * @param work its signal fires when everybody who waits has given up, not before
   * @throws the caller's own signal's reason when that fires; the others are not disturbed
   */
  async run(key: K, work: (signal: AbortSignal) => Promise<V>, { signal }: CallOptions = {}): Promise<V> {
    signal?.throwIfAborted()
    const flight = this.#flights.get(key) ?? this.#start(key, work)
    flight.passengers += 1
    try {
      return await abortable(flight.result, signal)
    } finally {
      flight.passengers -= 1
      if (flight.passengers === 0 && signal?.aborted) {
        // Who comes now must not join work that is being cancelled.
        this.#forget(key, flight)
        flight.controller.abort(signal.reason)
      }
    }
  }

  #start(key: K, work: (signal: AbortSignal) => Promise<V>): Flight<V> {
    const controller = sharedController()
    const result = (async () => work(controller.signal))()
    const flight: Flight<V> = { result, controller, passengers: 0 }
    this.#flights.set(key, flight)
    const forget = () => this.#forget(key, flight)
    result.then(forget, forget)
    return flight
  }

  #forget(key: K, flight: Flight<V>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}
