import { encodeU64, padLength } from './wire-encode.js'
import { WireError } from './wire-error.js'
import { type ByteSink, writeSome } from './wire-sink.js'

const ZEROS = new Uint8Array(7)

/** Tells of writers that were forgotten half-way: their packet is truncated, and nobody would notice. */
const forgotten = new FinalizationRegistry<bigint>((length) => {
  console.warn(
    `a packet writer of ${length} bytes was dropped without flush or close: its packet is truncated`,
  )
})

/**
 * Writes a `bytes` value whose payload comes in pieces (spec 09 section 3.2): size, payload, zero padding. Where
 * the sink takes only a part, writing goes on exactly there. Errors of the sink pass through on the call that met
 * them. Finish with `flush` or `close`, or hold it with `await using`.
 */
export class PacketWriter {
  readonly #sink: ByteSink
  #size: Uint8Array
  #padding: Uint8Array
  #remaining: bigint
  #closed = false

  /** `length`: payload bytes to come; `invalid-input` if it is no u64. */
  constructor(sink: ByteSink, length: bigint) {
    this.#sink = sink
    this.#size = encodeU64(length)
    this.#padding = ZEROS.subarray(0, padLength(length))
    this.#remaining = length
    forgotten.register(this, length, this)
  }

  /** Payload bytes still to be written. */
  get remaining(): bigint {
    return this.#remaining
  }

  /** Appends to the payload. `invalid-data` if it would exceed the announced length: nothing of it is written then. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen()
    if (bytes.length === 0) return
    if (BigInt(bytes.length) > this.#remaining) {
      forgotten.unregister(this)
      throw new WireError('invalid-data', 'excess bytes in packet', {
        expected: `at most ${this.#remaining} more`,
        actual: `${bytes.length}`,
      })
    }
    await this.#writeSize()
    let rest = bytes
    while (rest.length > 0) {
      const taken = await this.#put(rest)
      rest = rest.subarray(taken)
      this.#remaining -= BigInt(taken)
    }
  }

  /** Writes what is due: the size, and the padding if the payload is complete. Then flushes the sink. */
  async flush(): Promise<void> {
    this.#assertOpen()
    await this.#writeSize()
    if (this.#remaining === 0n) {
      while (this.#padding.length > 0) {
        this.#padding = this.#padding.subarray(await this.#put(this.#padding))
      }
      forgotten.unregister(this)
    }
    await this.#sink.flush?.()
  }

  /** Flushes and closes the sink. `unclean-shutdown` if payload is missing; the sink is closed even then. */
  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      this.#closed = true
      forgotten.unregister(this)
      await this.#sink.close?.()
    }
    if (this.#remaining > 0n) {
      throw new WireError('unclean-shutdown', 'packet closed before its end', {
        expected: `${this.#remaining} more bytes`,
        actual: 'close',
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) await this.close()
  }

  #assertOpen(): void {
    if (this.#closed) throw new WireError('misuse', 'packet writer used after close')
  }

  async #writeSize(): Promise<void> {
    while (this.#size.length > 0) this.#size = this.#size.subarray(await this.#put(this.#size))
  }

  async #put(bytes: Uint8Array): Promise<number> {
    try {
      return await writeSome(this.#sink, bytes)
    } catch (error) {
      forgotten.unregister(this)
      throw error
    }
  }
}
