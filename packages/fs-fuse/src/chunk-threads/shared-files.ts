import { closeSync, fstatSync } from 'node:fs'
import type { EmbeddedStore } from '@neve/embedded-store'

const MAX_OPEN = 32

/** The segments that other threads read, open. */
export class SharedFiles {
  readonly #engine: Pick<EmbeddedStore, 'openSegment'>
  readonly #isRead: (descriptor: number) => boolean
  /** Descriptors by segments, the one that was used last at the end. */
  readonly #open = new Map<number, number>()

  /** @param isRead whether somebody may still read from one */
  constructor(engine: Pick<EmbeddedStore, 'openSegment'>, isRead: (descriptor: number) => boolean) {
    this.#engine = engine
    this.#isRead = isRead
  }

  /** @returns the descriptor of a segment, good for as long as somebody reads; undefined when it cannot be opened */
  of(segment: number): number | undefined {
    let descriptor = this.#open.get(segment)
    if (descriptor === undefined) {
      this.#closeSome()
      try {
        descriptor = this.#engine.openSegment(segment)
      } catch {
        return undefined
      }
    } else this.#open.delete(segment)
    this.#open.set(segment, descriptor)
    return descriptor
  }

  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor)
    this.#open.clear()
  }

  /** Those that were not used for long, and those that were removed, which take their space until they are closed. */
  #closeSome(): void {
    for (const [segment, descriptor] of this.#open) {
      const isUnwanted = this.#open.size >= MAX_OPEN || fstatSync(descriptor).nlink === 0
      if (!isUnwanted || this.#isRead(descriptor)) continue
      closeSync(descriptor)
      this.#open.delete(segment)
    }
  }
}
