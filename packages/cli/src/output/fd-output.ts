import { write } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Output } from '../io.js'
import { systemReason } from '../messages.js'
import { OutputClosedError, OutputError } from './errors.js'

const BUFFER_SIZE = 1024 * 1024
/** From here on a piece is written as it is: copying it would take longer than another call, in bytes. */
const LARGE_PIECE = 64 * 1024
/** How long to wait for a pipe that somebody else made non-blocking, in ms. */
const RETRY = 5

/**
 * Writes to a descriptor through two buffers: while one is being written by another thread, the next is filled. So a
 * slow reader does not stop the event loop, and a fast one gets large pieces. Large pieces are written without a copy.
 */
export class FdOutput implements Output {
  readonly isTerminal: boolean
  readonly #fd: number
  readonly #target: string
  readonly #signal: AbortSignal | undefined
  #buffer: Buffer | undefined
  #spare: Buffer | undefined
  #length = 0
  #writing: Promise<void> | undefined
  #failure: unknown

  /**
   * @param fd stays open
   * @param target what it is, in words for a person
   * @param signal ends waiting for a reader
   */
  constructor(fd: number, target: string, options: { isTerminal?: boolean; signal?: AbortSignal } = {}) {
    this.#fd = fd
    this.#target = target
    this.isTerminal = options.isTerminal ?? false
    this.#signal = options.signal
  }

  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (bytes.length >= LARGE_PIECE) {
      await this.flush()
      this.#write(bytes, bytes.length)
      await this.#settled()
      return
    }
    for (let done = 0; done < bytes.length; ) {
      this.#buffer ??= this.#spare ?? Buffer.allocUnsafeSlow(BUFFER_SIZE)
      if (this.#buffer === this.#spare) this.#spare = undefined
      const taken = Math.min(bytes.length - done, BUFFER_SIZE - this.#length)
      this.#buffer.set(bytes.subarray(done, done + taken), this.#length)
      this.#length += taken
      done += taken
      if (this.#length === BUFFER_SIZE) await this.#start()
    }
  }

  async flush(): Promise<void> {
    if (this.#length > 0) await this.#start()
    await this.#settled()
  }

  /** Waits for the buffer before, then hands this one to the writer. */
  async #start(): Promise<void> {
    await this.#settled()
    const buffer = this.#buffer!
    const length = this.#length
    this.#buffer = undefined
    this.#length = 0
    this.#write(buffer, length, () => {
      this.#spare = buffer
    })
  }

  #write(bytes: Uint8Array, length: number, done: () => void = () => {}): void {
    this.#writing = this.#writeAll(bytes, length).then(done, (error: unknown) => {
      this.#failure = error
    })
  }

  async #settled(): Promise<void> {
    if (this.#writing !== undefined) await abortable(this.#writing, this.#signal)
    this.#writing = undefined
    if (this.#failure !== undefined) throw this.#failure
  }

  async #writeAll(buffer: Uint8Array, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      this.#signal?.throwIfAborted()
      const written = await this.#writeSome(buffer, done, length - done)
      if (written === undefined) await delay(RETRY)
      else done += written
    }
  }

  /** @returns undefined when the descriptor takes nothing now */
  #writeSome(buffer: Uint8Array, offset: number, length: number): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      write(this.#fd, buffer, offset, length, null, (error, written) => {
        if (error === null) resolve(written)
        else if (error.code === 'EAGAIN') resolve(undefined)
        else if (error.code === 'EPIPE') reject(new OutputClosedError({ cause: error }))
        else reject(new OutputError(this.#target, systemReason(error), { cause: error }))
      })
    })
  }
}

function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    const done = () => signal.removeEventListener('abort', stop)
    promise.then(() => {
      done()
      resolve()
    }, reject)
  })
}
