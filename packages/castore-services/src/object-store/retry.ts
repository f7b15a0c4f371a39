import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '../call-options.js'

/** When to try again, and how long to wait before. */
export interface RetryPolicy {
  /** How often, after the first time. */
  readonly maxRetries: number
  /** The pause before the first retry, in milliseconds; it doubles from then on. */
  readonly firstDelay: number
  /** The longest pause, in milliseconds. */
  readonly maxDelay: number
}

/** What to do about a failure. */
export interface RetryAdvice {
  readonly retry: boolean
  /** The least to wait, in milliseconds, where the other side has said so. */
  readonly after?: number | undefined
}

/**
 * Does something until it succeeds, or is not to be tried again. Pauses are between half of what the policy says and
 * all of it, so that callers who failed together do not come back together.
 *
 * @param attempt its number, from 0 on
 * @throws the last failure; the signal's reason as soon as it fires in a pause
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  advise: (error: unknown) => RetryAdvice,
  attempt: (number: number) => Promise<T>,
  { signal }: CallOptions = {},
): Promise<T> {
  for (let number = 0; ; number++) {
    try {
      return await attempt(number)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      const { retry, after = 0 } = advise(error)
      if (!retry || number >= policy.maxRetries) throw error
      const full = Math.min(policy.maxDelay, policy.firstDelay * 2 ** number)
      await pause(Math.max(full * (0.5 + Math.random() / 2), Math.min(after, policy.maxDelay)), signal)
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal })
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
}
