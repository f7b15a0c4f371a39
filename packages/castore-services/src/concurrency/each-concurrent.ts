import type { CallOptions } from '../call-options.js'
import { linkSignals } from './linked-signal.js'
import { sharedController } from './shared-controller.js'

/**
 * Works on the items of a source, `concurrency` at a time, in no particular order. The first failure, of the work or of
 * the source, stops the rest; when the promise settles, nothing runs any more.
 *
 * @param work its signal fires when the rest is not wanted any more
 * @throws the first failure, or the reason of the signal
 */
export async function eachConcurrent<T>(
  source: AsyncIterator<T, void, undefined>,
  concurrency: number,
  work: (item: T, signal: AbortSignal) => Promise<void>,
  { signal }: CallOptions = {},
): Promise<void> {
  const controller = sharedController()
  using linked = linkSignals(controller.signal, signal)
  let failure: { readonly error: unknown } | undefined
  let ended = false
  const lane = async (): Promise<void> => {
    while (!ended) {
      try {
        linked.signal.throwIfAborted()
        const next = await source.next()
        if (next.done === true) ended = true
        else if (!ended) await work(next.value, linked.signal)
      } catch (error) {
        ended = true
        failure ??= { error }
        controller.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  if (failure !== undefined) throw failure.error
}

/** Works on all items at once; the first failure stops the rest. When the promise settles, nothing runs any more. */
export async function eachAtOnce<T>(
  items: readonly T[],
  work: (item: T, signal: AbortSignal) => Promise<void>,
  options: CallOptions = {},
): Promise<void> {
  const source = (async function* () {
    yield* items
  })()
  await eachConcurrent(source, items.length, work, options)
}
