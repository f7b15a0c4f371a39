import type { Node } from '@neve/castore-model'
import type { EmbeddedStore } from '@neve/embedded-store'
import { CastoreError } from '../errors.js'
import { DigestSet } from './digest-set.js'
import { eachChild } from './directory-children.js'
import { contentBytes, entryBytes } from './stored-bytes.js'

const DIGEST = 32
const LIST_ENTRY = 36
/** Directories that are walked through before others get a turn. */
const A_TURN = 4096
/** Directories that are looked up together, in the order in which they lie: 18 bits number them. */
const TOGETHER = 2 ** 18
/** It does not pay to put fewer of them in order. */
const FEW = 16

/**
 * Walks through an embedded store and remembers what is referred to: directories, blobs that directories or roots have,
 * and in the end the chunks of these blobs.
 */
export class CastoreMark {
  readonly directories = new DigestSet()
  /** Blobs by their own digests. */
  readonly blobs = new DigestSet()
  readonly #chunks = new DigestSet()
  readonly #engine: EmbeddedStore
  readonly #measures: boolean
  readonly #tolerates: boolean
  #open = Buffer.alloc(DIGEST * 1024)
  #round = Buffer.alloc(0)
  #depth = 0
  #bytes = 0

  /**
   * @param measures whether {@link bytes} is wanted: it takes a look into the index for each blob and chunk
   * @param tolerates whether directories that cannot be read are passed over: not by who removes what is not marked
   */
  constructor(
    engine: EmbeddedStore,
    {
      measures = false,
      tolerates = false,
    }: { readonly measures?: boolean; readonly tolerates?: boolean } = {},
  ) {
    this.#engine = engine
    this.#measures = measures
    this.#tolerates = tolerates
  }

  /** What all that is marked takes in the segments, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether content is needed: as a whole blob, or as a chunk of one. */
  hasContent(key: Uint8Array): boolean {
    return this.blobs.has(key) || this.#chunks.has(key)
  }

  /** Marks a node and everything below it. What is below it and missing is passed over. */
  async node(node: Node, signal?: AbortSignal): Promise<void> {
    await this.nodeLater(node, signal)
    await this.run(signal)
  }

  /** Marks a node; what is below it at the latest with the next {@link run}: together that is quicker. */
  async nodeLater(node: Node, signal?: AbortSignal): Promise<void> {
    if (node.kind === 'file') this.blob(node.digest.bytes)
    if (node.kind === 'directory') this.#push(node.digest.bytes, 0)
    if (this.#depth >= TOGETHER) await this.run(signal)
  }

  blob(digests: Uint8Array, at = 0): void {
    if (!this.blobs.add(digests, at) || !this.#measures) return
    const digest = digests.subarray(at, at + DIGEST)
    this.#bytes += contentBytes(this.#engine.locate(digest))
    const list = this.#engine.get('blobs', digest)
    if (list === undefined) return
    this.#bytes += entryBytes(list)
    for (let entry = 0; entry + LIST_ENTRY <= list.length; entry += LIST_ENTRY) {
      const chunk = list.subarray(entry, entry + DIGEST)
      if (this.#chunks.add(chunk) && !this.blobs.has(chunk))
        this.#bytes += contentBytes(this.#engine.locate(chunk))
    }
  }

  /** Marks what a directory refers to, but not the directory; {@link run} goes on below. */
  children(encoded: Uint8Array): void {
    const whole = eachChild(encoded, (kind, at) => {
      if (kind === 'directory') this.#push(encoded, at)
      else this.blob(encoded, at)
    })
    if (whole || this.#tolerates) return
    throw new CastoreError(
      'data-loss',
      'a directory of the store cannot be read: run neve verify before garbage is collected',
    )
  }

  /**
   * Marks the chunks of all blobs that are marked, when no more will be.
   *
   * @param others whose chunks are needed, too
   */
  chunks(others: (digest: Uint8Array) => boolean = () => false): void {
    for (const [digest, list] of this.#engine.entries('blobs')) {
      if (!this.blobs.has(digest) && !others(digest)) continue
      for (let at = 0; at + LIST_ENTRY <= list.length; at += LIST_ENTRY) this.#chunks.add(list, at)
    }
  }

  #push(digests: Uint8Array, at: number): void {
    if (!this.directories.add(digests, at)) return
    const end = this.#depth * DIGEST
    if (end === this.#open.length) this.#open = Buffer.concat([this.#open, Buffer.alloc(end)])
    this.#open.set(digests.subarray(at, at + DIGEST), end)
    this.#depth++
  }

  /** Goes on until all that is below is marked. */
  async run(signal?: AbortSignal): Promise<void> {
    for (let walked = 0; this.#depth > 0; ) {
      for (const digest of this.#takeRound()) {
        // Measuring reads the tables meanwhile.
        const encoded = this.#measures
          ? this.#engine.get('directories', digest)
          : this.#engine.view('directories', digest)
        if (encoded !== undefined) {
          this.#bytes += entryBytes(encoded)
          this.children(encoded)
        }
        if (++walked % A_TURN === 0) {
          await new Promise((resolve) => setImmediate(resolve))
          signal?.throwIfAborted()
        }
      }
    }
  }

  /** Some of the open ones, as good as in the order of their digests; what is pushed meanwhile comes in a later round. */
  *#takeRound(): Generator<Uint8Array, void, undefined> {
    const count = Math.min(this.#depth, TOGETHER)
    const end = this.#depth * DIGEST
    this.#depth -= count
    const length = count * DIGEST
    if (this.#round.length < length) this.#round = Buffer.alloc(Math.max(length, 2 * this.#round.length))
    const round = this.#round
    this.#open.copy(round, 0, end - length, end)
    const order = Float64Array.from(
      { length: count },
      (_, at) => round.readUInt32BE(at * DIGEST) * TOGETHER + at,
    )
    if (count > FEW) order.sort()
    for (const key of order) {
      const at = (key % TOGETHER) * DIGEST
      yield round.subarray(at, at + DIGEST)
    }
  }
}
