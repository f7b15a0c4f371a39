import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { isTrouble, type OnTrouble } from './trouble.js'

/** One of several services, and what to call it in messages. */
export interface NamedStore<S> {
  readonly name: string
  readonly service: S
}

/** What a service over several others is made of. */
export interface StoresInit<S> {
  /** At least one, in the order in which they are asked. They stay the caller's: closing them is not this service's matter. */
  readonly stores: readonly S[]
  /** What to call each of them in errors. Default: `store 1`, `store 2`, … */
  readonly names?: readonly string[] | undefined
  /** Told when one of the stores failed and another one was asked instead. Default: nobody. */
  readonly onTrouble?: OnTrouble | undefined
}

/** @throws CastoreError `invalid-input` for no stores at all, or another number of names */
export function namedStores<S>({ stores, names }: StoresInit<S>): readonly NamedStore<S>[] {
  if (stores.length === 0) throw new CastoreError('invalid-input', 'expected at least one store, got none')
  if (names !== undefined && names.length !== stores.length) {
    throw new CastoreError('invalid-input', `expected ${stores.length} names, got ${names.length}`)
  }
  return stores.map((service, index) => ({ service, name: names?.[index] ?? `store ${index + 1}` }))
}

/**
 * Asks one store after the other, until one has an answer.
 *
 * @returns undefined when none has, and all could be asked
 * @throws the first store's trouble when none of the others has an answer: then nobody knows
 */
export async function firstAnswer<S, T>(
  stores: readonly NamedStore<S>[],
  ask: (service: S, store: NamedStore<S>) => Promise<T | undefined>,
  options: CallOptions,
  onTrouble?: OnTrouble,
): Promise<T | undefined> {
  let failure: { readonly error: unknown } | undefined
  for (const store of stores) {
    try {
      const answer = await ask(store.service, store)
      if (answer !== undefined) return answer
    } catch (error) {
      if (!isTrouble(error, options)) throw error
      failure ??= { error }
      onTrouble?.({ store: store.name, error })
    }
  }
  if (failure !== undefined) throw failure.error
  return undefined
}
