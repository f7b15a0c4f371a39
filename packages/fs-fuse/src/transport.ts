/** Takes requests, one whole message each. */
export interface FuseReceiver {
  /**
   * Takes a request. It is answered by then, or later if something has to be waited for; never throws.
   *
   * @param request only good until the call returns
   */
  receive(request: Uint8Array): void

  /** Whether some request that was taken waits to be answered. */
  readonly isBusy: boolean
}

/**
 * Carries messages of the FUSE protocol between a kernel and a {@link FuseReceiver}, and knows nothing of what is in them:
 * `/dev/fuse`, a virtqueue, or memory in a test.
 */
export interface FuseTransport {
  /** Hands over requests until the other side ends the connection. Rejects when the connection fails. */
  run(receiver: FuseReceiver): Promise<void>

  /**
   * Sends one reply, made of all the pieces in order. They are the caller's again when it returns.
   *
   * @returns false when nobody waits for the reply any more
   * @throws when the message is not one that the other side takes
   */
  send(head: Uint8Array, body?: readonly Uint8Array[]): boolean
}
