import { compareBytes } from '@neve/castore-model'
import type { PathInfo } from '../path-info.js'

/** Of path infos that come in any order, those with the lowest digests, in order. Holds twice a page at most. */
export class PageOf implements Iterable<PathInfo> {
  readonly #size: number
  #kept: PathInfo[] = []

  /** @param size 1 or more */
  constructor(size: number) {
    this.#size = size
  }

  add(info: PathInfo): void {
    this.#kept.push(info)
    if (this.#kept.length >= 2 * this.#size) this.#cut()
  }

  [Symbol.iterator](): Iterator<PathInfo> {
    this.#cut()
    return this.#kept.values()
  }

  #cut(): void {
    this.#kept.sort((a, b) => compareBytes(a.storePath.digest, b.storePath.digest))
    this.#kept = this.#kept.slice(0, this.#size)
  }
}
