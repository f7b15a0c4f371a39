import type { RetentionRules } from '@neve/store-pathinfo/gc'
import type { Context, GlobalOptions } from './context.js'
import { localStorePath } from './local-store.js'
import { parseDuration, parseSize } from './numbers.js'
import { storeSources } from './store-options.js'

/** Options that say what a store keeps besides what roots lead to. */
export interface RetentionFlags {
  readonly keepUsedWithin?: string
  readonly maxSize?: string
}

/** A store to collect garbage in. */
export interface GcTarget {
  /** The folder of an embedded store; the address of an object store. */
  readonly path: string
  readonly isObjectStore?: boolean
  readonly rules: RetentionRules
}

/** @throws UsageError */
export function retentionRules({ keepUsedWithin, maxSize }: RetentionFlags): RetentionRules {
  return {
    ...(keepUsedWithin === undefined
      ? {}
      : { keepUsedWithin: parseDuration('--keep-used-within', keepUsedWithin) }),
    ...(maxSize === undefined ? {} : { maxSize: parseSize('--max-size', maxSize) }),
  }
}

/**
 * The stores that path infos of the store lie in that the options name, embedded ones, and of a composition file object
 * stores of which it says what is kept: what it says is what they keep, unless flags say otherwise.
 *
 * @throws UsageError, ConfigError
 */
export async function gcTargets(
  context: Context,
  options: GlobalOptions & RetentionFlags,
): Promise<readonly GcTarget[]> {
  const rules = retentionRules(options)
  const file = await compositionFile(options)
  if (file !== undefined) {
    const composed = await composedTargets(file, rules)
    if (composed.length > 0) return composed
  }
  return [{ path: await localStorePath(context, options, 'gc'), rules }]
}

/**
 * The embedded stores of a composition file, and the object stores of which it says what is kept.
 *
 * @param rules that go before those of the file
 * @throws ConfigError
 */
export async function composedTargets(file: string, rules: RetentionRules): Promise<readonly GcTarget[]> {
  const { embeddedPathInfosIn, objectStoresIn } = await import('@neve/store-pathinfo/composition')
  const embedded = (await embeddedPathInfosIn(file)).map((store) => ({ ...store, isObjectStore: false }))
  const objects = (await objectStoresIn(file)).map((store) => ({
    ...{ path: store.address, rules: store.rules, isObjectStore: true },
  }))
  return [...embedded, ...objects].map((store) => ({
    ...store,
    rules: { ...defined(store.rules), ...rules },
  }))
}

function defined(rules: RetentionRules): RetentionRules {
  return Object.fromEntries(Object.entries(rules).filter(([, rule]) => rule !== undefined))
}

/** The composition file that the options name, if they do. */
export async function compositionFile(options: GlobalOptions): Promise<string | undefined> {
  const sources = storeSources(options)
  if (typeof sources === 'object') return sources.pathInfos === undefined ? sources.config : undefined
  const { defaultStoreAddress, isCompositionFile } = await import('@neve/store-pathinfo/address')
  const address = sources ?? defaultStoreAddress()
  return isCompositionFile(address) ? address : undefined
}
