import type { BlobWriter } from '../blob-service.js'
import type { Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import type { ContentStore } from './content-store.js'
import {
  ABANDON,
  type ChunkResult,
  type FileFailure,
  type FileSeen,
  type PackResult,
  type ScanResult,
} from './file-tasks-protocol.js'
import type { FileWorkers } from './file-workers.js'

let pins = 0

/** What the task said that found the file. */
export interface FoundFile {
  /** In bytes. */
  readonly size: number
  readonly executable: boolean
}

/** What became of it. */
export interface LargeFileResult {
  readonly digest: Uint8Array
  readonly seen: FileSeen | undefined
}

interface Scanned {
  readonly slot: Slot
  readonly result: ScanResult
}

/**
 * A file that does not fit one task. One thread reads, hashes and cuts it, a slot of whole chunks at a time; the others
 * hash and frame the chunks of the slots before.
 */
export class LargeFile {
  readonly #path: Uint8Array
  readonly #workers: FileWorkers
  readonly #slots: SlotAllowance
  readonly #content: ContentStore
  readonly #stream: ((bytes: Uint8Array, slot: Slot) => void) | undefined
  readonly #pin = pins++

  constructor(
    path: Uint8Array,
    workers: FileWorkers,
    slots: SlotAllowance,
    content: ContentStore,
    stream: ((bytes: Uint8Array, slot: Slot) => void) | undefined,
  ) {
    this.#path = path
    this.#workers = workers
    this.#slots = slots
    this.#content = content
    this.#stream = stream
  }

  /**
   * @param found what the task said that found the file
   * @param failed makes the error to throw
   * @param check throws when the ingestion was cancelled
   */
  async ingest(
    found: FoundFile,
    failed: (failure: FileFailure) => Error,
    check: () => void,
  ): Promise<LargeFileResult> {
    const writer = this.#content.framingOfLarge === undefined ? this.#content.blobs.openWrite() : undefined
    const chunks: ChunkResult[] = []
    let storing: Promise<void> = Promise.resolve()
    let lost: { readonly error: unknown } | undefined
    let scan: Promise<Scanned> | undefined
    let complete = false
    try {
      scan = this.#scan(await this.#slots.take(), 0)
      for (let offset = 0; ; ) {
        const { slot, result } = await scan
        const { used, end } = result
        offset += used
        const failure = result.failure ?? this.#difference(found, offset, end)
        if (failure !== undefined) throw failed(failure)
        check()
        if (lost !== undefined) throw lost.error
        scan = undefined
        if (end === undefined && this.#slots.free > 0) scan = this.#scan(await this.#slots.take(), offset)
        this.#stream?.(slot.raw.subarray(0, used), slot)
        // After the scan, so that the thread which scans is not the first choice for framing.
        storing = this.#store(slot, result, writer, chunks, storing)
        storing.catch((error: unknown) => {
          lost ??= { error }
        })
        if (end === undefined) {
          scan ??= this.#scan(await this.#slots.take(), offset)
          continue
        }
        complete = true
        await storing
        this.#content.check()
        const { digest, seen } = end
        if (writer === undefined) await this.#content.storeList(digest, chunks)
        else await writer.close()
        return { digest, seen }
      }
    } finally {
      await storing.catch(() => undefined)
      if (!complete) await this.#abandon(scan)
      await writer?.abort()
    }
  }

  /** Whether the file is another than the one that was found: then what the sink was told of it is wrong. */
  #difference(found: FoundFile, offset: number, end: ScanResult['end']): FileFailure | undefined {
    const path = this.#path
    if (end === undefined ? offset > found.size : offset !== found.size) {
      return { kind: 'changed', path, message: `expected ${found.size} bytes, got ${offset}` }
    }
    if (end === undefined || end.executable === found.executable) return undefined
    return { kind: 'changed', path, message: 'it is not as executable as before' }
  }

  /** Has the contents of a slot stored, after those before it. The slot is given back whatever happens. */
  async #store(
    slot: Slot,
    scan: ScanResult,
    writer: BlobWriter | undefined,
    chunks: ChunkResult[],
    before: Promise<void>,
  ): Promise<void> {
    const framing = this.#frame(slot, scan, writer)
    try {
      const [framed] = await Promise.all([framing, before])
      chunks.push(...framed)
      this.#content.storeChunks(slot, framed)
    } finally {
      await framing.catch(() => undefined)
      this.#content.releaseWhenStored(slot)
    }
  }

  async #scan(slot: Slot, offset: number): Promise<Scanned> {
    const framing = this.#content.framingOfLarge
    const task = { type: 'scan', scan: this.#pin, path: this.#path, slot, offset, framing } as const
    const result = await this.#workers.run(task, { pin: this.#pin })
    return { slot, result: result as ScanResult }
  }

  /** Has the file closed, and gives back the slot of a scan that nobody waits for any more. */
  async #abandon(scan: Promise<Scanned> | undefined): Promise<void> {
    try {
      const slot = scan === undefined ? await this.#slots.take() : (await scan).slot
      await this.#scan(slot, ABANDON)
      this.#slots.give(slot)
    } catch {
      // The threads are gone, and everything that they held with them.
    }
  }

  async #frame(
    slot: Slot,
    scan: ScanResult,
    writer: BlobWriter | undefined,
  ): Promise<readonly ChunkResult[]> {
    if (writer !== undefined) {
      this.#content.newBytes += scan.used
      await writer.write(new Uint8Array(slot.raw.subarray(0, scan.used)))
      return []
    }
    const { lookUp, framingOfLarge: framing } = this.#content
    const task = { type: 'pack', slot, lengths: scan.lengths, lookUp, framing } as const
    const result = await this.#workers.run(task, { apart: this.#pin })
    return (result as PackResult).chunks
  }
}
