/** What may be known at once, or only after waiting: who serves without waiting never sees a promise from memory. */
export type MaybePromise<T> = T | Promise<T>

/** Goes on with a value: at once if it is there. */
export function chain<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** As {@link chain}, with what is to be done when there is an error instead, which may throw. */
export function attempt<T>(
  work: () => MaybePromise<T>,
  failed: (error: unknown) => MaybePromise<T>,
): MaybePromise<T> {
  try {
    const value = work()
    return value instanceof Promise ? value.catch(failed) : value
  } catch (error) {
    return failed(error)
  }
}
