import { Worker } from 'node:worker_threads'
import { OUT_HEADER } from '../protocol/constants.js'

/** `FUSE_NOTIFY_STORE`: here is some of a file, for the page cache. */
const NOTIFY_STORE = 4
const STORE = 24
const PAGE = 4096
const SLOTS = 6
/** What is larger is not worth the wait. */
const SLOT_BYTES = 1024 * 1024
const FRAME_HEADER: number = OUT_HEADER + STORE

/** What the feeding thread works in. All is shared. */
export interface FeederMemory {
  readonly descriptor: number
  /** For each slot the length of the message in it, in bytes, or 0 when it is free; behind the last, 1 when there are no more. */
  readonly lengths: Int32Array
  readonly slots: readonly Uint8Array[]
}

const THREAD = import.meta.resolve('@neve/fs-fuse/page-feeder-thread')

/**
 * Puts pages into the kernel's cache that nobody asked for: who reads here and there in a file asks for 4 KiB, but to verify
 * them takes a whole chunk, and the rest of it will be asked for soon. Only a thread of its own may do so: the kernel may
 * hold the pages until a read that waits to be answered is.
 */
export class PageFeeder {
  readonly #memory: FeederMemory
  readonly #thread: Worker
  readonly #ended: Promise<void>
  #next = 0

  /** @param descriptor of the device; open until {@link close} has settled */
  constructor(descriptor: number) {
    this.#memory = {
      descriptor,
      lengths: new Int32Array(new SharedArrayBuffer(4 * (SLOTS + 1))),
      slots: Array.from(
        { length: SLOTS },
        () => new Uint8Array(new SharedArrayBuffer(FRAME_HEADER + SLOT_BYTES)),
      ),
    }
    this.#thread = new Worker(new URL(THREAD), { workerData: this.#memory })
    this.#thread.on('error', () => {})
    this.#ended = new Promise((resolve) => this.#thread.once('exit', () => resolve()))
  }

  /**
   * Takes some of a file; drops it when there is no time for it.
   *
   * @param offset of the first byte in the file
   * @param bytes copied
   * @param size length of the whole file, in bytes
   */
  feed(node: number, offset: number, bytes: Uint8Array, size: number): void {
    const { lengths, slots } = this.#memory
    if (Atomics.load(lengths, this.#next) !== 0) return
    const from = Math.ceil(offset / PAGE) * PAGE
    const end = offset + bytes.length
    // Part of a page is of no use, but for the last of a file.
    const to = end === size ? end : end - (end % PAGE)
    if (to <= from || to - from > SLOT_BYTES) return
    const slot = slots[this.#next]!
    writeHeader(new DataView(slot.buffer), node, from, to - from)
    slot.set(bytes.subarray(from - offset, to - offset), FRAME_HEADER)
    Atomics.store(lengths, this.#next, FRAME_HEADER + to - from)
    Atomics.notify(lengths, this.#next)
    this.#next = (this.#next + 1) % SLOTS
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    const { lengths } = this.#memory
    Atomics.store(lengths, SLOTS, 1)
    for (let slot = 0; slot < SLOTS; slot++) {
      Atomics.compareExchange(lengths, slot, 0, -1)
      Atomics.notify(lengths, slot)
    }
    await this.#ended
  }
}

function writeHeader(view: DataView, node: number, offset: number, length: number): void {
  view.setUint32(0, FRAME_HEADER + length, true)
  view.setInt32(4, NOTIFY_STORE, true)
  view.setBigUint64(8, 0n, true)
  view.setBigUint64(OUT_HEADER, BigInt(node), true)
  view.setBigUint64(OUT_HEADER + 8, BigInt(offset), true)
  view.setUint32(OUT_HEADER + 16, length, true)
  view.setUint32(OUT_HEADER + 20, 0, true)
}
