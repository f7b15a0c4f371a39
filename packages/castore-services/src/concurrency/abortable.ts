/**
 * Waits for a promise no longer than a signal allows.
 *
 * The promise's own work goes on when the signal fires; its later rejection is taken care of.
 *
 * @returns what the promise gives
 * @throws the signal's reason as soon as it fires, else what the promise rejects with
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
