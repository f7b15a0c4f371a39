import { sharedController } from './shared-controller.js'

/** A signal that fires with the first of two, and a way to stop listening. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal
}

/**
 * Joins a long-lived signal with that of one call. Disposing of the result takes the listeners away, which
 * `AbortSignal.any` leaves to the garbage collector: too late for a signal that sees millions of calls.
 */
export function linkSignals(own: AbortSignal, other: AbortSignal | undefined): LinkedSignal {
  if (other === undefined || own.aborted) return { signal: own, [Symbol.dispose]: () => {} }
  const controller = sharedController()
  const onOwn = () => controller.abort(own.reason)
  const onOther = () => controller.abort(other.reason)
  if (other.aborted) onOther()
  own.addEventListener('abort', onOwn, { once: true })
  other.addEventListener('abort', onOther, { once: true })
  const dispose = () => {
    own.removeEventListener('abort', onOwn)
    other.removeEventListener('abort', onOther)
  }
  return { signal: controller.signal, [Symbol.dispose]: dispose }
}
