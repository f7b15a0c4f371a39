import { Channel } from '@grpc/grpc-js'

type Call = ReturnType<Channel['createCall']>

/** The beginning of a field of four thousand million bytes, and no more: no message of any type. */
const NO_MESSAGE = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])

/** How long to wait for {@link NO_MESSAGE} to be sent, in milliseconds. One that waits for the server does no harm. */
const SENDING = 20

/**
 * A channel whose calls can be cancelled for sure. Node.js ends a request before it resets it: whoever cancels an
 * upload while nothing waits to be sent first tells the server that the upload is complete, and a server that is quick
 * stores a part of a blob as if it were the whole (spec 02 weakness 21). So a cancelled upload is given a last message
 * that no server can read: it has to fail, whatever comes first.
 */
export class CancellingChannel extends Channel {
  override createCall(...args: Parameters<Channel['createCall']>): Call {
    const call = super.createCall(...args)
    let uploading = true
    const halfClose = call.halfClose.bind(call)
    call.halfClose = () => {
      uploading = false
      halfClose()
    }
    const cancel = call.cancelWithStatus.bind(call)
    call.cancelWithStatus = (status, details) => {
      if (!uploading) {
        // A request that is reset in the moment in which it was made may stay behind until the connection is used again.
        setImmediate(cancel, status, details)
        return
      }
      uploading = false
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
