import { B3Digest, blake3, type FileNode } from '@neve/castore-model'
import { type CallOptions, type ChunkMeta, mapOrdered } from '@neve/castore-services'
import {
  CONTENT_TASK_BYTES,
  CONTENT_TASK_PIECES,
  ContentThreads,
  SlotAllowance,
} from '@neve/castore-services/blob/content-threads'
import { decodeChunkList } from '@neve/castore-services/blob/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { Throttle } from './throttle.js'
import type { PlacedFile } from './tree-check.js'

/** Files that were looked at together. */
export interface QuicklyChecked {
  readonly files: readonly PlacedFile[]
  /** Whether all of them are sound; if not, which of them is and what is wrong is to be found out. */
  readonly sound: boolean
}

/** Pieces of content, one behind the other. */
type Pieces = readonly Pick<ChunkMeta, 'digest' | 'size'>[]

/**
 * Finds out in threads that files of an embedded store are sound, many at once: their content is read in the order in which
 * they are asked for, expanded and hashed. Close it when nothing runs any more.
 */
export class QuickCheck {
  readonly #engine: EmbeddedStore
  readonly #throttle: Throttle
  readonly #threads: ContentThreads
  readonly #slots: SlotAllowance

  constructor(engine: EmbeddedStore, throttle: Throttle) {
    this.#engine = engine
    this.#throttle = throttle
    this.#threads = new ContentThreads(engine)
    this.#slots = new SlotAllowance(this.#threads, 4 * this.#threads.count)
  }

  /** @throws on iterating: what makes threads fail; the signal's reason */
  check(files: AsyncIterable<PlacedFile>, options: CallOptions): AsyncIterable<QuicklyChecked> {
    const look = async (some: readonly PlacedFile[], signal: AbortSignal): Promise<QuicklyChecked> => ({
      files: some,
      sound: await this.#areSound(some, { signal }),
    })
    return mapOrdered(this.#together(files), 2 * this.#threads.count + 1, look, options)
  }

  close(): Promise<void> {
    return this.#threads.close()
  }

  /** Small files in groups, large ones each alone. */
  async *#together(files: AsyncIterable<PlacedFile>): AsyncGenerator<readonly PlacedFile[], void, undefined> {
    let some: PlacedFile[] = []
    let bytes = 0
    for await (const placed of files) {
      const size = Number(placed.file.size)
      if (this.#engine.locate(placed.file.digest.bytes) === undefined) {
        yield [placed]
        continue
      }
      if (bytes + size > CONTENT_TASK_BYTES && some.length > 0) {
        yield some
        some = []
        bytes = 0
      }
      some.push(placed)
      bytes += size
      if (some.length < CONTENT_TASK_PIECES) continue
      yield some
      some = []
      bytes = 0
    }
    if (some.length > 0) yield some
  }

  async #areSound(files: readonly PlacedFile[], options: CallOptions): Promise<boolean> {
    const [first] = files
    const list = files.length === 1 ? this.#engine.get('blobs', first!.file.digest.bytes) : undefined
    if (list !== undefined && this.#engine.locate(first!.file.digest.bytes) === undefined) {
      return this.#isSoundInChunks(first!.file, list, options)
    }
    const pieces = files.map(({ file }) => file)
    const slot = await this.#read(pieces, options)
    if (slot !== undefined) this.#slots.give(slot)
    return slot !== undefined
  }

  async #isSoundInChunks(file: FileNode, list: Uint8Array, options: CallOptions): Promise<boolean> {
    let chunks: readonly ChunkMeta[]
    try {
      chunks = decodeChunkList(file.digest, list, this.#engine.path)
    } catch {
      return false
    }
    const hasher = blake3.hasher()
    let length = 0
    let sound = true
    const look = (pieces: Pieces, signal: AbortSignal) => this.#read(pieces, { signal })
    const runs = mapOrdered(runsOf(chunks), 2 * this.#threads.count + 1, look, options)
    // To the end, whatever is found: slots that are lent have to come back.
    for await (const slot of runs) {
      sound &&= slot !== undefined
      if (slot === undefined) continue
      const content = slot.raw.subarray(0, slot.length)
      if (sound) hasher.update(content)
      length += content.length
      this.#slots.give(slot)
    }
    return sound && BigInt(length) === file.size && B3Digest.adopt(hasher.digest()).equals(file.digest)
  }

  /** @returns the slot with the content, to be given back; undefined where anything is wrong with it */
  async #read(pieces: Pieces, options: CallOptions) {
    const length = pieces.reduce((sum, { size }) => sum + Number(size), 0)
    await this.#throttle.take(length, options)
    const slot = await this.#slots.take(options)
    if (length > slot.raw.length) {
      this.#slots.give(slot)
      return undefined
    }
    const digests = Buffer.concat(pieces.map(({ digest }) => digest.bytes))
    const sizes = Uint32Array.from(pieces, ({ size }) => Number(size))
    const gaps = new Uint32Array(pieces.length)
    const { failure } = await this.#threads.run({ slot, digests, sizes, gaps, literalLength: 0 })
    if (failure === undefined) return Object.assign(slot, { length })
    this.#slots.give(slot)
    return undefined
  }
}

/** Chunks in runs of about a MiB. */
function* runsOf(chunks: readonly ChunkMeta[]): Generator<Pieces> {
  let run: ChunkMeta[] = []
  let bytes = 0
  for (const chunk of chunks) {
    if (run.length > 0 && bytes + Number(chunk.size) > CONTENT_TASK_BYTES) {
      yield run
      run = []
      bytes = 0
    }
    run.push(chunk)
    bytes += Number(chunk.size)
  }
  if (run.length > 0) yield run
}
