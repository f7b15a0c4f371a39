import { type CollectGarbageOptions, collectGarbage } from '@neve/store-pathinfo/gc'
import { giveWay } from '../give-way.js'
import { describe } from '../messages.js'
import { openObjects } from '../object-store-address.js'

/** What a process that collects garbage is told. */
export interface GcRequest {
  /** The folder of an embedded store; the address of an object store. */
  readonly path: string
  readonly isObjectStore: boolean
  /** Of an object store the rules alone. */
  readonly options: Omit<CollectGarbageOptions, 'signal' | 'onProgress'>
}

/** What it tells of a collection that came to its end. */
export interface GcReport {
  /** How many store paths are garbage. */
  readonly paths: number
  readonly contentBytes: number
  readonly removed: number
  readonly freedBytes: number
  /** Processes that hold back what is garbage. */
  readonly waitingFor: readonly number[]
  /** Of an object store: from when on what was found can be removed, in milliseconds since 1970, where that is later. */
  readonly notBefore?: number | undefined
}

/** What it tells in the end. */
export type GcAnswer =
  | { readonly report: GcReport }
  | { readonly error: string }
  /** Somebody else is at work in the store, as it says. */
  | { readonly busy: string }

process.once('disconnect', () => process.exit(1))
process.once('message', (request: GcRequest) => void run(request))

async function run(request: GcRequest): Promise<void> {
  let answer: GcAnswer
  try {
    giveWay()
    answer = { report: await (request.isObjectStore ? collectInObjects(request) : collect(request)) }
  } catch (error) {
    answer = isBusy(error) ? { busy: describe(error) } : { error: describe(error) }
  }
  process.send!(answer, () => process.exit(0))
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === 'CollectionBusyError' || ('code' in error && error.code === 'busy')
}

async function collect({ path, options }: GcRequest): Promise<GcReport> {
  const { paths, contentBytes, removed, freedBytes, waitingFor } = await collectGarbage(path, options)
  const pids = waitingFor.map(({ pid }) => pid)
  return { paths: paths.length, contentBytes, removed, freedBytes, waitingFor: pids }
}

async function collectInObjects({ path, options }: GcRequest): Promise<GcReport> {
  const { collectObjects } = await import('@neve/store-pathinfo/object-gc')
  await using opened = await openObjects(path)
  const { keepUsedWithin, maxSize } = options
  const { paths, objects, bytes, notBefore } = await collectObjects(opened.store, { keepUsedWithin, maxSize })
  const isEarly = notBefore !== undefined
  const [removed, freedBytes] = isEarly ? [0, 0] : [objects, bytes]
  return { paths: paths.length, contentBytes: bytes, removed, freedBytes, waitingFor: [], notBefore }
}
