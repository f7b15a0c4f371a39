import type { B3Digest } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { CastoreError } from '../errors.js'
import type { ObjectStore } from '../object-store/object-store.js'
import { FINGERPRINT_LENGTH, FingerprintTable } from './fingerprint-table.js'
import { decodeIndexed, encodeIndexed, type IndexedClosure, MAX_INDEX_OBJECT } from './index-entry.js'

/** Entries of the log that one pack stands for. */
const PACK = 256
/** How many objects to ask for at once while catching up. */
const WINDOW = 16
const MAX_ATTEMPTS = 100

interface Waiting {
  readonly closure: IndexedClosure
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Tells which closure holds a directory, so that directories below a root can be found by their own digests (DESIGN
 * decision 8), which the reference's layout does not allow for.
 *
 * It is a log: `neve/dirs/log/0000000000` and so on without gaps. Each entry names the closures of one or more uploads
 * and what is in them, and is written if absent: who comes second takes the next number. So an upload costs one object,
 * many at once share one, and looking for news costs one request. 256 entries make a pack, `neve/dirs/packs/0000000000`,
 * which says the same as they do: whoever completes them writes it, and who starts later reads packs. Nothing is ever
 * changed or listed.
 *
 * The whole index is in memory: some 20 bytes a directory. A fingerprint is eight bytes of a digest; what it leads to is
 * verified anyhow.
 */
export class ClosureIndex {
  readonly #store: ObjectStore
  readonly #table = new FingerprintTable()
  readonly #roots: B3Digest[] = []
  readonly #known = new Map<string, number>()
  readonly #refreshing = new SingleFlight<'refresh', void>()
  /** The entries since the last pack, to make the next of. */
  #loose: (readonly IndexedClosure[])[] = []
  /** The number of the next entry. */
  #next = 0
  #damagedPack: number | undefined
  #waiting: Waiting[] = []
  #appending = false

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** Roots of closures that probably hold the directory, as far as known here. */
  candidates(digest: B3Digest): B3Digest[] {
    return this.#table.get(digest.bytes).map((number) => this.#roots[number]!)
  }

  /** Reads what was added since the last time. */
  refresh({ signal }: CallOptions = {}): Promise<void> {
    return this.#refreshing.run('refresh', (stop) => this.#catchUp(stop), { signal })
  }

  /** Adds a closure, unless it is there already. Settles when that is durable. */
  async add(root: B3Digest, digests: Iterable<B3Digest>, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    if (this.#known.has(root.key)) return
    const closure = { root, fingerprints: fingerprintsOf(digests) }
    const added = new Promise<void>((resolve, reject) => this.#waiting.push({ closure, resolve, reject }))
    if (!this.#appending) void this.#append()
    await abortable(added, signal)
  }

  async #append(): Promise<void> {
    this.#appending = true
    // What is added at the same time goes into the same entry.
    await new Promise(setImmediate)
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        await this.#appendAll(batch.map(({ closure }) => closure))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#appending = false
  }

  async #appendAll(closures: readonly IndexedClosure[]): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.refresh()
      const news = new Map<string, IndexedClosure>()
      for (const closure of closures) {
        if (!this.#known.has(closure.root.key)) news.set(closure.root.key, closure)
      }
      if (news.size === 0) return
      const entry = [...news.values()]
      const content = encodeIndexed(entry)
      const number = this.#next
      const key = logKey(number)
      if (!(await this.#store.putIfAbsent(key, content))) continue
      // Not every store can do that in one step: another writer may have come in between, and has replaced ours.
      const stored = await this.#store.get(key, { maxSize: MAX_INDEX_OBJECT })
      if (stored === undefined || Buffer.compare(stored, content) !== 0) continue
      await this.#takeEntry(number, entry)
      return
    }
    throw new CastoreError(
      'unavailable',
      `cannot add to the index of directories: ${MAX_ATTEMPTS} times another writer was first`,
    )
  }

  async #catchUp(signal: AbortSignal): Promise<void> {
    for (let window = 1; this.#next % PACK === 0; window = Math.min(2 * window, WINDOW)) {
      const from = this.#next / PACK
      const packs = await this.#read(packKey, from, window, signal)
      const damaged = packs.indexOf(undefined)
      for (const [index, pack] of packs.slice(0, damaged < 0 ? undefined : damaged).entries()) {
        this.#takePack(from + index, pack!)
      }
      if (damaged >= 0) this.#damagedPack = from + damaged
      if (damaged >= 0 || packs.length < window) break
    }
    for (let window = 1; ; window = Math.min(2 * window, WINDOW)) {
      const from = this.#next
      const wanted = Math.min(window, PACK - (from % PACK))
      const entries = await this.#read(logKey, from, wanted, signal)
      // A damaged entry is as an empty one: its closures are found by their roots, and indexed when they are put again.
      for (const [index, entry] of entries.entries()) await this.#takeEntry(from + index, entry ?? [])
      if (entries.length < wanted) return
    }
  }

  /** As many objects from a number on as there are without a gap, at most `count`; undefined for damaged ones. */
  async #read(
    keyOf: (number: number) => string,
    from: number,
    count: number,
    signal: AbortSignal,
  ): Promise<(IndexedClosure[] | undefined)[]> {
    const reads = Array.from({ length: count }, (_, index) =>
      this.#store.get(keyOf(from + index), { maxSize: MAX_INDEX_OBJECT, signal }),
    )
    const stored = await Promise.all(reads)
    const end = stored.indexOf(undefined)
    return stored.slice(0, end < 0 ? count : end).map((object) => decodeIndexed(object!))
  }

  #takePack(number: number, pack: readonly IndexedClosure[]): void {
    // An append may have come in between.
    if (number * PACK !== this.#next) return
    this.#learn(pack)
    this.#next += PACK
    this.#loose = []
  }

  async #takeEntry(number: number, entry: readonly IndexedClosure[]): Promise<void> {
    if (number !== this.#next) return
    this.#learn(entry)
    this.#loose.push(entry)
    this.#next++
    if (this.#next % PACK === 0) await this.#writePack(this.#next / PACK - 1)
  }

  #learn(closures: readonly IndexedClosure[]): void {
    for (const { root, fingerprints } of closures) {
      if (this.#known.has(root.key)) continue
      const number = this.#roots.push(root) - 1
      this.#known.set(root.key, number)
      for (let at = 0; at < fingerprints.length; at += FINGERPRINT_LENGTH) {
        this.#table.add(fingerprints, at, number)
      }
    }
  }

  /** Only a help for those who start later, and the same whoever writes it: a failure is nobody's trouble. */
  async #writePack(number: number): Promise<void> {
    const pack = this.#loose
    this.#loose = []
    if (pack.length < PACK) return
    try {
      const content = encodeIndexed(pack.flat())
      if (number === this.#damagedPack) await this.#store.put(packKey(number), content)
      else await this.#store.putIfAbsent(packKey(number), content)
    } catch {}
  }
}

function fingerprintsOf(digests: Iterable<B3Digest>): Uint8Array {
  const parts = Array.from(digests, ({ bytes }) => bytes.subarray(0, FINGERPRINT_LENGTH))
  parts.sort(Buffer.compare)
  return Buffer.concat(parts)
}

function logKey(number: number): string {
  return `neve/dirs/log/${String(number).padStart(10, '0')}`
}

function packKey(number: number): string {
  return `neve/dirs/packs/${String(number).padStart(10, '0')}`
}
