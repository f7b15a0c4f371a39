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
 * The embedded stores that path infos of the store lie in that the options name: what a composition file says of them is
 * what they keep, unless flags say otherwise.
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
 * The embedded stores of a composition file.
 *
 * @param rules that go before those of the file
 * @throws ConfigError
 */
export async function composedTargets(file: string, rules: RetentionRules): Promise<readonly GcTarget[]> {
  const { embeddedPathInfosIn } = await import('@neve/store-pathinfo/composition')
  const composed = await embeddedPathInfosIn(file)
  return composed.map((store) => ({ path: store.path, rules: { ...store.rules, ...rules } }))
}

/** The composition file that the options name, if they do. */
async function compositionFile(options: GlobalOptions): Promise<string | undefined> {
  const sources = storeSources(options)
  if (typeof sources === 'object') return sources.pathInfos === undefined ? sources.config : undefined
  const { defaultStoreAddress, isCompositionFile } = await import('@neve/store-pathinfo/address')
  const address = sources ?? defaultStoreAddress()
  return isCompositionFile(address) ? address : undefined
}
