import { CastoreError } from '../errors.js'
import type { NamedStore } from './named-stores.js'

/** One store of a mirror that did not take what was written. */
export interface MirrorFailure {
  /** The store's name. */
  readonly store: string
  readonly error: unknown
}

/**
 * Not every store of a mirror took what was written: some may have it, so trying again is safe. The code is
 * `unavailable` when that is all that was wrong, else `storage`.
 */
export class MirrorWriteError extends CastoreError {
  override readonly name = 'MirrorWriteError'

  constructor(
    readonly failures: readonly MirrorFailure[],
    total: number,
  ) {
    const unavailable = failures.every(
      ({ error }) => error instanceof CastoreError && error.code === 'unavailable',
    )
    const details = failures.map(({ store, error }) => `${store}: ${messageOf(error)}`)
    super(
      unavailable ? 'unavailable' : 'storage',
      `${failures.length} of ${total} stores did not take what was written: ${details.join('; ')}`,
      { cause: failures[0]?.error },
    )
  }
}

/**
 * Does the same with every store at once, and waits for all.
 *
 * @throws when any of them failed: the signal's reason if it fired, else MirrorWriteError
 */
export async function withAll<S, T>(
  stores: readonly NamedStore<S>[],
  work: (service: S, index: number) => Promise<T>,
  signal?: AbortSignal | undefined,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(stores.map(async ({ service }, index) => work(service, index)))
  const failures: MirrorFailure[] = []
  const values: T[] = []
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') values.push(outcome.value)
    else failures.push({ store: stores[index]!.name, error: outcome.reason })
  }
  if (failures.length === 0) return values
  signal?.throwIfAborted()
  throw new MirrorWriteError(failures, stores.length)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
