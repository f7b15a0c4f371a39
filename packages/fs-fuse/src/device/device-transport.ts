import { read, readSync, writeSync, writevSync } from 'node:fs'
import type { FuseReceiver, FuseTransport } from '../transport.js'

/** The largest request by far is a batch of FORGETs; the kernel asks for room for at least 8 KiB. */
const ROOM = 64 * 1024

/** How a {@link DeviceTransport} waits for requests. */
export interface DeviceTransportOptions {
  /**
   * Whether the calling thread may stand still until there is a request: the quickest way to wait, for a thread that does
   * nothing else. While a request waits to be answered the thread does not stand still. Default: false.
   */
  readonly blocking?: boolean | undefined
}

/** Messages over `/dev/fuse` (spec 05 section 11.2): one request a read, one reply a write. */
export class DeviceTransport implements FuseTransport {
  readonly #descriptor: number
  readonly #blocking: boolean
  readonly #buffer = Buffer.alloc(ROOM)
  #ended = false

  /** @param descriptor of the device, mounted; it stays the caller's, who closes it after {@link run} */
  constructor(descriptor: number, { blocking = false }: DeviceTransportOptions = {}) {
    this.#descriptor = descriptor
    this.#blocking = blocking
  }

  async run(receiver: FuseReceiver): Promise<void> {
    try {
      for (;;) {
        const length = this.#blocking && !receiver.isBusy ? this.#readNow() : await this.#read()
        if (length === undefined) return
        if (length > 0) receiver.receive(this.#buffer.subarray(0, length))
      }
    } finally {
      this.#ended = true
    }
  }

  send(head: Uint8Array, body: readonly Uint8Array[] = []): boolean {
    if (this.#ended) return false
    try {
      if (body.length === 0) writeSync(this.#descriptor, head, 0, head.length, null)
      else writevSync(this.#descriptor, [head, ...body])
      return true
    } catch (error) {
      // The request was interrupted, or the connection is gone.
      if (['ENOENT', 'ENODEV', 'ECONNABORTED'].includes(codeOf(error))) return false
      throw error
    }
  }

  #readNow(): number | undefined {
    try {
      return readSync(this.#descriptor, this.#buffer, 0, ROOM, null)
    } catch (error) {
      return afterError(error)
    }
  }

  #read(): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      read(this.#descriptor, this.#buffer, 0, ROOM, null, (error, length) => {
        if (error === null) return resolve(length)
        try {
          resolve(afterError(error))
        } catch (fatal) {
          reject(fatal)
        }
      })
    })
  }
}

/** @returns 0 to read again, undefined at the end */
function afterError(error: unknown): 0 | undefined {
  switch (codeOf(error)) {
    // A request that was taken back while it was read.
    case 'ENOENT':
    case 'EINTR':
    case 'EAGAIN':
      return 0
    // Unmounted, or aborted.
    case 'ENODEV':
    case 'ECONNABORTED':
      return undefined
    default:
      throw error
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
