import { setMaxListeners } from 'node:events'

/**
 * A controller whose signal any number of calls may listen to at once. Node takes more than ten listeners for a mistake,
 * and says so on standard error.
 */
export function sharedController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
