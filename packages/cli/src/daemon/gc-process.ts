import { type CollectGarbageOptions, collectGarbage } from '@neve/store-pathinfo/gc'
import { giveWay } from '../give-way.js'

/** What a process that collects garbage is told. */
export interface GcRequest {
  /** The folder of an embedded store. */
  readonly path: string
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
}

/** What it tells in the end. */
export type GcAnswer =
  | { readonly report: GcReport }
  | { readonly error: string; readonly code: string | undefined }

process.once('disconnect', () => process.exit(1))
process.once('message', (request: GcRequest) => void run(request))

async function run({ path, options }: GcRequest): Promise<void> {
  let answer: GcAnswer
  try {
    giveWay()
    const { paths, contentBytes, removed, freedBytes, waitingFor } = await collectGarbage(path, options)
    const pids = waitingFor.map(({ pid }) => pid)
    answer = { report: { paths: paths.length, contentBytes, removed, freedBytes, waitingFor: pids } }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    answer = { error: error instanceof Error ? error.message : String(error), code }
  }
  process.send!(answer, () => process.exit(0))
}
