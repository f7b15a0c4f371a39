import { B3Digest, blake3 } from '@neve/castore-model'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { eachAtOnce } from '../concurrency/each-concurrent.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { CastoreError, DataLossError } from '../errors.js'
import { type HoldOptions, ObjectHolds } from '../object-store/object-holds.js'
import type { ObjectStore } from '../object-store/object-store.js'
import { expandChunk, frameBound } from './chunk-frames.js'
import type { FramedChunk } from './framed-blobs.js'
import { objectKey } from './object-layout.js'

/** Settings of {@link ChunkObjects}. */
export interface ChunkObjectsInit {
  readonly store: ObjectStore
  /** For messages. */
  readonly backend: string
  /** The most plain bytes of a chunk that nobody has told the length of. */
  readonly maxChunkSize: number
  /** How many requests to have under way. */
  readonly concurrency: number
  /** Whether what is stored already is fetched and verified when it is put again. */
  readonly verifyExisting: boolean
  /** Whether what is asked for is kept from being collected for a while. */
  readonly recordsUse: boolean
}

/**
 * After so many chunks in a row that were not there, the next are written if absent without looking first, which saves
 * a request each. The first that is there ends that.
 */
const EXPECT_NEW = 16

/** The chunks in an object store: verified when they are read, healed when they are stored again. */
export class ChunkObjects {
  readonly #init: ChunkObjectsInit
  readonly #requests: ByteSemaphore
  readonly #holds: ObjectHolds
  readonly #reading = new SingleFlight<string, Uint8Array | undefined>()
  readonly #writing = new Map<string, Promise<unknown>>()
  #newInARow = 0

  constructor(init: ChunkObjectsInit) {
    this.#init = init
    this.#requests = new ByteSemaphore(init.concurrency)
    this.#holds = new ObjectHolds(init.store, init)
  }

  /** Makes one request when there is room for it. */
  async request<T>(call: (store: ObjectStore) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const permit = await this.#requests.acquire(1, { signal })
    try {
      return await call(this.#init.store)
    } finally {
      permit.release()
    }
  }

  /** Keeps an object that was found, and that the caller may count on, from being collected for a while. */
  hold(key: string, options: HoldOptions): Promise<boolean> {
    return this.#holds.hold(key, options)
  }

  /** Writes over an object that is there. */
  put(key: string, content: Uint8Array, options: CallOptions): Promise<void> {
    return this.#holds.put(key, content, options)
  }

  /** Whether there is an object for the chunk, which then stays for a while; what is in it is not looked at. */
  async has(digest: B3Digest, { signal }: CallOptions): Promise<boolean> {
    for (const folder of ['chunks', 'chunk'] as const) {
      const key = objectKey(folder, digest)
      const head = await this.request((store) => store.head(key, { signal }), signal)
      if (head !== undefined && (await this.hold(key, { signal }))) return true
    }
    return false
  }

  /** The plain bytes of a chunk of a list, verified; undefined when it is missing. Equal calls share one request. */
  async fetchListed({ digest, size }: ChunkMeta, options: CallOptions): Promise<Uint8Array | undefined> {
    const content = await this.#fetch('chunks', digest, Number(size), options)
    return content ?? this.#fetch('chunk', digest, Number(size), options)
  }

  /** The plain bytes of a chunk of unknown length from one of the folders, verified. */
  fetch(folder: 'chunks' | 'chunk', digest: B3Digest, options: CallOptions): Promise<Uint8Array | undefined> {
    return this.#fetch(folder, digest, undefined, options)
  }

  /**
   * Stores a chunk unless it is there already, and sound. Returns once it is durable.
   *
   * @returns whether it was written
   */
  async ensure(chunk: FramedChunk, options: CallOptions): Promise<boolean> {
    const { key } = chunk.digest
    for (;;) {
      const running = this.#writing.get(key)
      if (running === undefined) break
      try {
        await abortable(running, options.signal)
        return false
      } catch {
        // That was another caller's attempt, and perhaps that caller has only given up.
        options.signal?.throwIfAborted()
      }
    }
    const writing = this.#write(chunk, options)
    this.#writing.set(key, writing)
    try {
      return await writing
    } finally {
      this.#writing.delete(key)
    }
  }

  /**
   * Stores chunks as `ensure` does; those that are expected to be new by one call where the store can. Settles when no
   * frame is needed any more.
   *
   * @returns of each, in their order, whether it was written
   * @throws the first failure
   */
  async ensureAll(chunks: readonly FramedChunk[], options: CallOptions): Promise<boolean[]> {
    const written = chunks.map(() => false)
    for (const index of await this.#putNew(chunks, options)) written[index] = true
    // The others are somebody else's work, or were there, and may be damaged.
    const rest = written.flatMap((is, index) => (is ? [] : [index]))
    const ensure = async (index: number, signal: AbortSignal): Promise<void> => {
      written[index] = await this.ensure(chunks[index]!, { signal })
    }
    await eachAtOnce(rest, ensure, options)
    return written
  }

  /** @returns the indices of those that were not there, and are now */
  async #putNew(chunks: readonly FramedChunk[], options: CallOptions): Promise<readonly number[]> {
    const { store } = this.#init
    if (store.putAllIfAbsent === undefined || this.#newInARow < EXPECT_NEW) return []
    const mine = new Map<string, number>()
    for (const [index, { digest }] of chunks.entries()) {
      if (!this.#writing.has(digest.key)) mine.set(digest.key, index)
    }
    const indices = [...mine.values()]
    const objects = indices.map((index) => {
      const { digest, frame } = chunks[index]!
      return { key: objectKey('chunks', digest), content: frame }
    })
    const putting = this.request((to) => to.putAllIfAbsent!(objects, options), options.signal)
    for (const key of mine.keys()) this.#writing.set(key, putting)
    try {
      const outcomes = await putting
      const news = indices.filter((_, at) => outcomes[at])
      if (news.length < indices.length) this.#newInARow = 0
      return news
    } finally {
      for (const key of mine.keys()) this.#writing.delete(key)
    }
  }

  async #write({ digest, size, frame }: FramedChunk, { signal }: CallOptions): Promise<boolean> {
    const key = objectKey('chunks', digest)
    const permit = await this.#requests.acquire(1, { signal })
    try {
      const { store } = this.#init
      if (this.#newInARow >= EXPECT_NEW && (await store.putIfAbsent(key, frame, { signal }))) return true
      const state = await this.#look(key, digest, size, frame, signal)
      this.#newInARow = state === 'absent' ? this.#newInARow + 1 : 0
      if (state === 'sound' && (await this.hold(key, { content: frame, signal }))) return false
      if (state === 'absent') await store.put(key, frame, { signal })
      else await this.put(key, frame, { signal })
      return true
    } finally {
      permit.release()
    }
  }

  async #look(
    key: string,
    digest: B3Digest,
    size: number,
    frame: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'absent' | 'sound' | 'damaged'> {
    const { store, verifyExisting } = this.#init
    if (!verifyExisting) {
      const head = await store.head(key, { signal })
      if (head === undefined) return 'absent'
      // Nothing has no frame: such an object is what an interrupted writer without syncs leaves behind.
      return head.size > 0 ? 'sound' : 'damaged'
    }
    const stored = await wholeOrLonger(store, key, storedLimit(size), signal)
    if (stored === undefined) return 'absent'
    if (stored === TOO_LONG) return 'damaged'
    if (Buffer.compare(stored, frame) === 0) return 'sound'
    try {
      return matches(expandChunk(stored, size), digest) ? 'sound' : 'damaged'
    } catch {
      return 'damaged'
    }
  }

  #fetch(
    folder: 'chunks' | 'chunk',
    digest: B3Digest,
    size: number | undefined,
    { signal }: CallOptions,
  ): Promise<Uint8Array | undefined> {
    const flight = `${folder} ${size ?? ''} ${digest.key}`
    return this.#reading.run(flight, (stop) => this.#read(folder, digest, size, stop), { signal })
  }

  async #read(
    folder: 'chunks' | 'chunk',
    digest: B3Digest,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const { backend, maxChunkSize } = this.#init
    const limit = size ?? maxChunkSize
    const key = objectKey(folder, digest)
    const stored = await this.request(
      (store) => wholeOrLonger(store, key, storedLimit(limit), signal),
      signal,
    )
    if (stored === undefined) return undefined
    if (stored === TOO_LONG) {
      const detail = `the object of chunk ${digest} is longer than any of ${limit} bytes can be`
      throw new DataLossError(digest, backend, detail)
    }
    let content: Uint8Array
    try {
      content = expandChunk(stored, limit)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      throw new DataLossError(digest, backend, `the object of chunk ${digest} is damaged: ${detail}`, {
        cause: error,
      })
    }
    if (!matches(content, digest)) {
      const actual = B3Digest.of(content)
      const detail = `chunk contents invalid: expected ${digest}, got ${actual}`
      throw new DataLossError(digest, backend, detail)
    }
    return content
  }
}

const TOO_LONG = Symbol('longer than it can be')

/** A stored chunk may be in several frames, each of which may not compress: it is never that much longer. */
function storedLimit(size: number): number {
  return frameBound(size) * 2
}

async function wholeOrLonger(
  store: ObjectStore,
  key: string,
  maxSize: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined | typeof TOO_LONG> {
  try {
    return await store.get(key, { maxSize, signal })
  } catch (error) {
    if (error instanceof CastoreError && error.code === 'too-large') return TOO_LONG
    throw error
  }
}

function matches(content: Uint8Array, digest: B3Digest): boolean {
  return Buffer.compare(blake3.digest(content), digest.bytes) === 0
}
