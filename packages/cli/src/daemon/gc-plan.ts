import type { Command } from 'commander'
import { composedTargets, type GcTarget, type RetentionFlags, retentionRules } from '../gc-targets.js'
import type { CachePlan } from '../http/cache-plan.js'
import { UsageError } from '../messages.js'
import { parseDuration, parseSize } from '../numbers.js'
import { storeSources } from '../store-options.js'
import type { DaemonOptions } from './options.js'

/** Options of servers that collect garbage in what they serve. */
export interface GcFlags extends RetentionFlags {
  readonly gcEvery?: string
  readonly minFree?: string
  readonly maxFree?: string
}

/** When a server collects garbage, and where. Times are in milliseconds, sizes in bytes. */
export interface GcPlan {
  /** From one collection to the next; undefined where there is no schedule. */
  readonly every: number | undefined
  /** When less is free, garbage is collected until `maxFree` is. */
  readonly minFree: number | undefined
  readonly maxFree: number
  /** How long the server's own lease holds garbage back. */
  readonly grace: number
  readonly targets: readonly GcTarget[]
}

/** Other clouds cannot replace an object under a condition: nobody may write to them meanwhile. */
const SERVED_OBJECTS = /^objectstore\+(?:s3a?|file):/

/** What the help of commands that have these options says of them. */
export const GC_HELP = `\
--gc-every collects garbage as neve gc does, the first time when that time has passed; --min-free does so when space runs
low, what was used least recently first, until --max-free is free or nothing is left but what roots keep and what was used
within the hour. Both work in a process of their own, and remove what they found when clients had the time of --gc-grace.
Of objectstore+s3:… and objectstore+file:… --gc-every removes what is older than the grace age that is stored with it (see
neve gc), by the same rules.
`

/** Adds the options to a command. */
export function addGcOptions(command: Command): Command {
  return command
    .option('--gc-every <time>', 'collect garbage time and again, such as every 1d (default: never)')
    .option('--min-free <size>', 'collect garbage when less is free on the file system, such as 10G')
    .option('--max-free <size>', 'do so until this much is free (default: twice --min-free)')
    .option('--keep-used-within <duration>', 'what is no garbage: what was used within this time')
    .option('--max-size <size>', 'what is no garbage: what was used last, at most so much')
}

/**
 * @param caches those that have a store of their own are looked after, too
 * @returns undefined where no collection is wanted
 * @throws UsageError, ConfigError
 */
export async function gcPlan(
  options: DaemonOptions,
  caches: readonly CachePlan[],
): Promise<GcPlan | undefined> {
  const { gcEvery, minFree: least, maxFree: enough, readOnly } = options
  if (enough !== undefined && least === undefined) throw new UsageError('--max-free is for --min-free')
  if (gcEvery === undefined && least === undefined) {
    if (options.keepUsedWithin === undefined && options.maxSize === undefined) return undefined
    throw new UsageError('--keep-used-within and --max-size are for --gc-every and --min-free')
  }
  if (readOnly) throw new UsageError('--gc-every and --min-free change the store: not with --read-only')
  const every = gcEvery === undefined ? undefined : parseDuration('--gc-every', gcEvery)
  const minFree = least === undefined ? undefined : parseSize('--min-free', least)
  if (every === 0 || minFree === 0) throw new UsageError('--gc-every and --min-free must not be 0')
  const maxFree = enough === undefined ? 2 * (minFree ?? 0) : parseSize('--max-free', enough)
  if (maxFree < (minFree ?? 0)) throw new UsageError('--max-free must not be less than --min-free')
  return { every, minFree, maxFree, grace: options.gcGrace, targets: await targetsOf(options, caches) }
}

async function targetsOf(options: DaemonOptions, caches: readonly CachePlan[]): Promise<readonly GcTarget[]> {
  const sources = storeSources(options)
  const named = [...(await servedTargets(sources, options))]
  for (const plan of caches) {
    if (plan.store !== undefined) named.push(...(await servedTargets(plan.store, plan)))
  }
  const targets = new Map<string, GcTarget>()
  for (const target of named) {
    const other = targets.get(target.path)
    if (other !== undefined && JSON.stringify(other.rules) !== JSON.stringify(target.rules)) {
      throw new UsageError(`two caches are to keep different things of one store: ${target.path}`)
    }
    targets.set(target.path, target)
  }
  const found = [...targets.values()]
  for (const { path, isObjectStore } of found) {
    if (isObjectStore !== true || SERVED_OBJECTS.test(path)) continue
    const name = path.replace(/\?.*/, '')
    throw new UsageError(`garbage can be collected while it is served in S3 and local files: not in ${name}`)
  }
  const { gcEvery, minFree } = options
  if (minFree !== undefined && found.every(({ isObjectStore }) => isObjectStore)) {
    throw new UsageError('--min-free is for embedded stores: none of those served is one')
  }
  if (gcEvery !== undefined && found.length === 0) {
    throw new UsageError('--gc-every is for embedded stores, S3 and local files: none of those served is one')
  }
  return found
}

/** The stores that can be collected while they are served; nothing is opened, as nothing may be there yet. */
async function servedTargets(
  sources: ReturnType<typeof storeSources>,
  flags: RetentionFlags,
): Promise<readonly GcTarget[]> {
  const { defaultStoreAddress, embeddedPath, isCompositionFile, isEmbeddedAddress } = await import(
    '@neve/store-pathinfo/address'
  )
  const rules = retentionRules(flags)
  const { config, address } = placeOf(sources ?? defaultStoreAddress())
  if (config !== undefined) return composedTargets(config, rules)
  if (address === undefined) return []
  if (SERVED_OBJECTS.test(address)) {
    return [{ path: address, isObjectStore: true, rules }]
  }
  if (!isEmbeddedAddress(address)) return []
  if (isCompositionFile(address)) return composedTargets(address, rules)
  return [{ path: embeddedPath(address), rules }]
}

/** Where path infos lie: in a composition, or at an address. */
function placeOf(sources: NonNullable<ReturnType<typeof storeSources>>): {
  readonly config?: string | undefined
  readonly address?: string | undefined
} {
  if (typeof sources !== 'object') return { address: sources }
  const { pathInfos, config, blobs } = sources
  if (pathInfos === undefined && config !== undefined) return { config }
  const address = pathInfos ?? blobs
  return typeof address === 'string' ? { address } : {}
}
