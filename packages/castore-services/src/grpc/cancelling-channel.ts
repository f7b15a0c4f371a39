import { Channel } from '@grpc/grpc-js'

type Call = ReturnType<Channel['createCall']>

/** The beginning of a field of four thousand million bytes, and no more: no message of any type. */
const NO_MESSAGE = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])

/** How long to wait until {@link NO_MESSAGE} was sent, in milliseconds: longer only where nothing can be sent at all. */
const SENDING = 250

/**
 * A channel whose calls can be cancelled for sure. Node.js ends a request before it resets it: whoever cancels an
 * upload while nothing waits to be sent first tells the server that the upload is complete, and a server that is quick
 * stores a part of a blob as if it were the whole (spec 02 weakness 21). So a cancelled upload is given a last message
 * that no server can read: it has to fail, whatever comes first.
 */
export class CancellingChannel extends Channel {
  override createCall(...args: Parameters<Channel['createCall']>): Call {
    const call = super.createCall(...args)
    let state: 'uploading' | 'ended' | 'cancelled' = 'uploading'
    const halfClose = call.halfClose.bind(call)
    call.halfClose = () => {
      // What feeds an upload ends too when it is cancelled.
      if (state === 'cancelled') return
      state = 'ended'
      halfClose()
    }
    const cancel = call.cancelWithStatus.bind(call)
    call.cancelWithStatus = (status, details) => {
      if (state === 'cancelled') return
      if (state === 'ended') {
        // A request that is reset in the moment in which it was made may stay behind until the connection is used again.
        setImmediate(cancel, status, details)
        return
      }
      state = 'cancelled'
      const timer = setTimeout(cancel, SENDING, status, details)
      const callback = (): void => {
        clearTimeout(timer)
        cancel(status, details)
      }
      call.sendMessageWithContext({ callback }, NO_MESSAGE)
    }
    return call
  }
}
