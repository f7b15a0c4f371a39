import { setTimeout as sleep } from 'node:timers/promises'
import { escapeBytes } from '@neve/castore-model'
import { metrics } from '@opentelemetry/api'
import type { Context } from '../context.js'
import { describe, UsageError } from '../messages.js'
import { parseDuration, parseSize } from '../numbers.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import type { DaemonOptions } from './options.js'

/** What is known of the scrubs of a daemon since it was started. */
export interface ScrubState {
  /** Scrubs that came to their end. */
  readonly runs: number
  /** Bytes of blobs that were read and compared. */
  readonly bytes: number
  /** What was damaged in the last scrub that came to its end, or so far in the first. */
  readonly damages: number
  /** When the last one came to its end, in seconds since 1970; 0 before. */
  readonly finished: number
}

/** When and how a daemon scrubs its store. */
export interface ScrubPlan {
  /** In milliseconds, from one to the next. */
  readonly every: number
  /** In bytes a second. */
  readonly bandwidth: number
  readonly stateFile: string | undefined
}

const DEFAULT_BANDWIDTH = '20M'
/** Timers cannot wait longer, in milliseconds. */
const LONGEST = 2 ** 31 - 1

/** @returns undefined where no scrub is wanted; @throws UsageError */
export function scrubPlan({ scrubEvery, scrubBandwidth, scrubState }: DaemonOptions): ScrubPlan | undefined {
  if (scrubEvery === undefined) {
    if (scrubBandwidth === undefined && scrubState === undefined) return undefined
    throw new UsageError('--scrub-bandwidth and --scrub-state are for --scrub-every')
  }
  const every = parseDuration('--scrub-every', scrubEvery)
  const bandwidth = parseSize('--scrub-bandwidth', scrubBandwidth ?? DEFAULT_BANDWIDTH)
  if (every === 0 || bandwidth === 0)
    throw new UsageError('--scrub-every and --scrub-bandwidth must not be 0')
  return { every, bandwidth, stateFile: scrubState }
}

/**
 * Verifies the whole store of a daemon time and again, slowly, and tells of damage in the log and in metrics. It reads with a
 * store of its own, which holds back no garbage; nothing is written, mending is for `neve verify --repair`.
 */
export class Scrub {
  readonly #context: Context
  readonly #options: DaemonOptions
  readonly #plan: ScrubPlan
  readonly #onState: (state: ScrubState) => void
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  readonly #counters = scrubCounters()
  #state: ScrubState = { runs: 0, bytes: 0, damages: 0, finished: 0 }

  /** @param onState told of what changes */
  constructor(
    context: Context,
    options: DaemonOptions,
    plan: ScrubPlan,
    onState: (state: ScrubState) => void = () => {},
  ) {
    this.#context = context
    this.#options = options
    this.#plan = plan
    this.#onState = onState
    onState(this.#state)
    this.#ended = this.#run()
  }

  /** Settles when nothing of it runs any more; where it has come to is written down. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    const log = await this.#context.log()
    // What was interrupted goes on at once.
    let isPending = (await this.#stateFile().catch(() => undefined)) !== undefined
    while (!signal.aborted) {
      try {
        for (let left = isPending ? 0 : this.#plan.every; left > 0; left -= LONGEST) {
          await sleep(Math.min(left, LONGEST), undefined, { signal })
        }
        isPending = false
        await this.#scrub()
      } catch (error) {
        if (!signal.aborted) log.error(`the scrub failed: ${describe(error, this.#context.io.debug)}`)
      }
    }
  }

  async #stateFile() {
    const { VerifyStateFile } = await import('@neve/store-pathinfo')
    const { stateFile } = this.#plan
    return stateFile === undefined
      ? undefined
      : new VerifyStateFile(stateFile, 'the scrub of a daemon').read()
  }

  async #scrub(): Promise<void> {
    const { allPathDigests, VerifyStateFile, verifyPaths } = await import('@neve/store-pathinfo')
    const { signal } = this.#stop
    const log = await this.#context.log()
    const { bandwidth, stateFile } = this.#plan
    const file = stateFile === undefined ? undefined : new VerifyStateFile(stateFile, 'the scrub of a daemon')
    const before = await file?.read()
    const begun = performance.now()
    const counts = { paths: 0, bytes: 0, damages: 0, ...before?.counts }
    await using store = await this.#context.openStore(this.#options, 'read')
    const digests = allPathDigests(store, { after: before?.after, signal })
    for await (const path of verifyPaths(store, digests, { bandwidth, loose: true, signal })) {
      if (path.storePathDigest !== undefined) counts.paths++
      counts.bytes += path.bytes
      counts.damages += path.damages.length
      for (const { storePath, path: below, kind, digest, detail } of path.damages) {
        const where = {
          store_path: storePath?.toAbsolute(),
          path: escapeBytes(below),
          digest: digest?.toSri(),
        }
        log.error({ ...where, kind }, `the scrub found damage: ${detail}`)
      }
      this.#counters.bytes.add(path.bytes)
      this.#counters.damages.add(path.damages.length)
      const damages = this.#state.runs === 0 ? counts.damages : this.#state.damages
      this.#tell({ ...this.#state, bytes: this.#state.bytes + path.bytes, damages })
      const after = path.storePathDigest
      if (after !== undefined) await file?.write({ after, counts })
    }
    await file?.remove()
    this.#counters.runs.add(1)
    const finished = Math.floor(Date.now() / 1000)
    this.#tell({ ...this.#state, runs: this.#state.runs + 1, damages: counts.damages, finished })
    const read = `${counted(counts.paths, 'store path')}, ${formatBytes(counts.bytes)}`
    const found = counts.damages === 0 ? 'all sound' : `${counted(counts.damages, 'damage')}: see neve verify`
    log.info(`scrubbed ${read} in ${formatDuration(performance.now() - begun)}: ${found}`)
  }

  #tell(state: ScrubState): void {
    this.#state = state
    this.#onState(state)
  }
}

/** Nobody is told where no SDK is registered. */
function scrubCounters() {
  const meter = metrics.getMeter('@neve/cli')
  return {
    runs: meter.createCounter('neve.scrub.runs', { description: 'scrubs that came to their end' }),
    bytes: meter.createCounter('neve.scrub.bytes', { unit: 'By', description: 'bytes that were compared' }),
    damages: meter.createCounter('neve.scrub.damages', { description: 'damages that were found' }),
  }
}
