import { setMaxListeners } from 'node:events'

/**
 * A controller whose signal any number of calls may listen to at once. Node takes more than ten listeners for a mistake,
 * and says so on standard error.
 */
export function sharedController(): AbortController {
  const controller = new AbortController()
  sharedSignal(controller.signal)
  return controller
}

/** The signal, for any number of calls to listen to at once. */
export function sharedSignal(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal)
  return signal
}
