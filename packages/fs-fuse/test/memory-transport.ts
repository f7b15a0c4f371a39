import type { FuseReceiver, FuseTransport } from '@neve/fs-fuse'

/** A kernel in memory: requests are bytes, and so are the replies that come back. */
export class MemoryTransport implements FuseTransport {
  readonly replies: Buffer[] = []
  /** What the other side answers to {@link send}. */
  delivers = true
  #receiver: FuseReceiver | undefined
  #end: (() => void) | undefined

  run(receiver: FuseReceiver): Promise<void> {
    this.#receiver = receiver
    return new Promise((resolve) => {
      this.#end = resolve
    })
  }

  send(head: Uint8Array, body: readonly Uint8Array[] = []): boolean {
    this.replies.push(Buffer.concat([head, ...body]))
    return this.delivers
  }

  /** Hands a request over. @returns the replies that came at once */
  request(message: Uint8Array): readonly Buffer[] {
    this.replies.length = 0
    this.#receiver?.receive(message)
    return [...this.replies]
  }

  end(): void {
    this.#end?.()
  }
}
