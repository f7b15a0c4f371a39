import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { abortable } from './abortable.js'
import { sharedController } from './shared-controller.js'

type Outcome<U> = { readonly value: U } | { readonly error: unknown }

/**
 * Maps a source with bounded concurrency, and yields the results in the order of the source (spec 06 sections 3.3
 * and 10).
 *
 * At most `concurrency` items are held at once: being worked on, or done and not yet taken. While all are, the source
 * is not asked for more. An error, of the work or of the source, comes at its place in the order; nothing new is
 * started once one is known. However the iteration ends, the signal given to `work` fires, the work that still runs
 * is waited for, and the source is closed.
 *
 * @param concurrency at least 1
 * @param work its signal fires when its result is not wanted any more
 */
export async function* mapOrdered<T, U>(
  source: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  work: (item: T, signal: AbortSignal) => Promise<U>,
  { signal }: CallOptions = {},
): AsyncGenerator<U, void, undefined> {
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new CastoreError(
      'invalid-input',
      `invalid concurrency: expected a positive integer, got ${concurrency}`,
    )
  }
  signal?.throwIfAborted()
  const iterator = iterate(source)
  const controller = sharedController()
  const tasks: Promise<Outcome<U>>[] = []
  let pull: Promise<void> | undefined
  let exhausted = false
  let stopped = false
  let wake: () => void = () => {}

  const start = async (item: T): Promise<Outcome<U>> => {
    try {
      return { value: await work(item, controller.signal) }
    } catch (error) {
      stopped = true
      return { error }
    }
  }
  const pullOne = async (): Promise<void> => {
    try {
      const next = await iterator.next()
      if (next.done) exhausted = true
      else if (!stopped) tasks.push(start(next.value))
    } catch (error) {
      exhausted = true
      tasks.push(Promise.resolve({ error }))
    }
    pull = undefined
    fill()
    wake()
  }
  const fill = (): void => {
    if (pull !== undefined || exhausted || stopped || tasks.length >= concurrency) return
    pull = pullOne()
  }

  try {
    for (;;) {
      fill()
      const head = tasks[0]
      if (head !== undefined) {
        const outcome = await abortable(head, signal)
        if ('error' in outcome) throw outcome.error
        tasks.shift()
        fill()
        yield outcome.value
      } else if (pull !== undefined) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve
        })
        await abortable(woken, signal)
      } else {
        return
      }
    }
  } finally {
    stopped = true
    controller.abort(signal?.aborted ? signal.reason : undefined)
    await Promise.all(tasks)
    // A source that never answers must not keep a cancelled caller waiting: only work that was started is waited for.
    const closing = exhausted ? undefined : closeIterator(iterator)
    if (pull === undefined) await closing
  }
}

function iterate<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
}

// The error that ended the iteration is the one to report, not one that closing brings up afterwards.
async function closeIterator<T>(iterator: AsyncIterator<T> | Iterator<T>): Promise<void> {
  try {
    await iterator.return?.()
  } catch {}
}
