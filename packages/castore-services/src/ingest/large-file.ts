import type { BlobWriter } from '../blob-service.js'
import type { Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import type { ContentStore } from './content-store.js'
import type { ChunkResult, FileFailure, FileResult, PackResult, ScanResult } from './file-tasks-protocol.js'
import type { FileWorkers } from './file-workers.js'
import type { TreeSink } from './filesystem.js'

let pins = 0

/**
 * A file that does not fit one task. One thread reads, hashes and cuts it, a slot of whole chunks at a time; the others
 * hash and frame the chunks of the slots before, while this thread feeds the sink.
 */
export class LargeFile {
  readonly #path: Uint8Array
  readonly #workers: FileWorkers
  readonly #slots: SlotAllowance
  readonly #content: ContentStore
  readonly #sink: TreeSink | undefined
  readonly #pin = pins++

  constructor(
    path: Uint8Array,
    workers: FileWorkers,
    slots: SlotAllowance,
    content: ContentStore,
    sink: TreeSink | undefined,
  ) {
    this.#path = path
    this.#workers = workers
    this.#slots = slots
    this.#content = content
    this.#sink = sink
  }

  /**
   * @param found what the task said that found the file
   * @param failed makes the error to throw
   * @param check throws when the ingestion was cancelled
   */
  async ingest(
    found: FileResult,
    failed: (failure: FileFailure) => Error,
    check: () => void,
  ): Promise<FileResult> {
    const writer = this.#content.packs ? undefined : this.#content.blobs.openWrite()
    const chunks: ChunkResult[] = []
    let storing: Promise<void> = Promise.resolve()
    try {
      let scan = this.#scan(await this.#slots.take(), 0)
      for (let offset = 0; ; ) {
        const { slot, result } = await scan
        if (result.failure !== undefined) {
          this.#slots.give(slot)
          throw failed(result.failure)
        }
        check()
        offset += result.used
        const framing = this.#frame(slot, result, writer)
        const before = storing
        storing = (async () => {
          await before
          const framed = await framing
          chunks.push(...framed)
          this.#content.storeChunks(slot, framed)
          this.#content.releaseWhenStored(slot)
        })()
        storing.catch(() => undefined)
        if (result.end === undefined) scan = this.#scan(await this.#slots.take(), offset)
        this.#sink?.content(slot.raw.subarray(0, result.used))
        if (result.end === undefined) continue
        await storing
        this.#content.check()
        const { digest, executable, seen } = result.end
        if (writer === undefined) this.#content.storeList(digest, chunks)
        else await writer.close()
        return { ...found, size: offset, digest, executable, seen, chunks }
      }
    } finally {
      await storing.catch(() => undefined)
      await writer?.abort()
    }
  }

  async #scan(slot: Slot, offset: number): Promise<{ slot: Slot; result: ScanResult }> {
    const result = await this.#workers.run({ type: 'scan', path: this.#path, slot, offset }, this.#pin)
    return { slot, result: result as ScanResult }
  }

  async #frame(
    slot: Slot,
    scan: ScanResult,
    writer: BlobWriter | undefined,
  ): Promise<readonly ChunkResult[]> {
    if (writer !== undefined) {
      await writer.write(new Uint8Array(slot.raw.subarray(0, scan.used)))
      return []
    }
    const result = await this.#workers.run({ type: 'pack', slot, lengths: scan.lengths })
    return (result as PackResult).chunks
  }
}
