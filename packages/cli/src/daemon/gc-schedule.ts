import { fork } from 'node:child_process'
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GcTarget } from '../gc-targets.js'
import { describe } from '../messages.js'
import type { Logger } from '../observe/logger.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import type { GcPlan } from './gc-plan.js'
import type { GcAnswer, GcReport, GcRequest } from './gc-process.js'

type Options = GcRequest['options']

/** What is known of the collections of a server since it was started. */
export interface GcState {
  /** Collections that came to their end. */
  readonly runs: number
  /** Entries of all kinds that were removed. */
  readonly removed: number
  /** What file systems have got back, in bytes. */
  readonly freedBytes: number
  /** When the last one came to its end, in seconds since 1970; 0 before. */
  readonly finished: number
}

/** A store that is looked after. */
interface Watched extends GcTarget {
  /** When garbage is collected next by the schedule. */
  due: number
  /** Whether space is being made: until enough is free, or nothing is left. */
  isShort: boolean
  /** Before this time there is no use in making space: nothing was left. */
  restsUntil: number
  /** Whether it was told that somebody else is at work there. */
  isElsewhere: boolean
  /** What was found and could not be removed yet. */
  pending: { readonly options: Options; at: number; delay: number } | undefined
}

/** How often free space is looked at, in milliseconds. */
const LOOK_EVERY = 10_000
/** How much longer than the time of clients it takes until the server has let go. */
const LETTING_GO = 3000
/** How often it is tried again while somebody else holds garbage back: first, and at most seldom. */
const RETRY = 60_000
const SELDOM = 3_600_000
/** How long nothing is tried after nothing was left. */
const REST = 600_000
/** Segments are rewritten for less gain than usual where space is short. */
const SHORT_SHARE = 0.95

/**
 * Collects garbage in the stores of a server, by schedule and when space runs low, in a process of its own, so that the
 * server goes on. What its own lease holds back is removed once that has been renewed.
 */
export class GcSchedule {
  readonly #plan: GcPlan
  readonly #log: Logger
  readonly #onState: (state: GcState) => void
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #state: GcState = { runs: 0, removed: 0, freedBytes: 0, finished: 0 }

  /** @param onState told of what changes */
  constructor(plan: GcPlan, log: Logger, onState: (state: GcState) => void = () => {}) {
    this.#plan = plan
    this.#log = log
    this.#onState = onState
    onState(this.#state)
    this.#ended = this.#run()
  }

  /** Ends a collection that runs: another goes on from there. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    const { every = Number.POSITIVE_INFINITY, targets, grace } = this.#plan
    const begun = Date.now()
    const stores = targets.map(
      (target): Watched => ({
        ...target,
        ...{ due: begun + every, isShort: false, restsUntil: 0, isElsewhere: false, pending: undefined },
      }),
    )
    const look = Math.min(LOOK_EVERY, every, Math.max(grace, 1000))
    while (!signal.aborted) {
      for (const store of stores) {
        try {
          await this.#look(store)
        } catch (error) {
          if (signal.aborted) return
          this.#log.error(`garbage could not be collected in ${nameOf(store)}: ${describe(error)}`)
        }
      }
      await sleep(look, undefined, { signal }).catch(() => {})
    }
  }

  async #look(store: Watched): Promise<void> {
    const now = Date.now()
    const { pending } = store
    if (pending !== undefined) {
      if (now < pending.at) return
      const report = await this.#collect(store, { ...pending.options, onlyCondemned: true })
      if (report === undefined || report.waitingFor.length > 0) {
        store.pending = { ...pending, at: now + pending.delay, delay: Math.min(2 * pending.delay, SELDOM) }
        return
      }
      store.pending = undefined
    }
    if (await this.#isShort(store)) await this.#makeSpace(store)
    else if (now >= store.due) {
      store.due = now + (this.#plan.every ?? Number.POSITIVE_INFINITY)
      // It is told at every turn; where space is looked at, once.
      store.isElsewhere = false
      const { notBefore } = (await this.#collect(store, store.rules)) ?? {}
      if (notBefore !== undefined) store.due = Math.min(store.due, notBefore)
    }
  }

  async #isShort(store: Watched): Promise<boolean> {
    const { minFree, maxFree } = this.#plan
    if (minFree === undefined || store.isObjectStore || Date.now() < store.restsUntil) return false
    const free = await freeBytes(store.path)
    const isShort = free < (store.isShort ? maxFree : minFree)
    if (isShort && !store.isShort) {
      this.#log.warn(`space runs low: ${formatBytes(free)} free for ${store.path}`)
    }
    store.isShort = isShort
    return isShort
  }

  async #makeSpace(store: Watched): Promise<void> {
    const missing = async () => this.#plan.maxFree - (await freeBytes(store.path))
    const { rules } = store
    // What was removed before, and takes space still, costs nobody anything.
    const wanted = await missing()
    await this.#collect(store, { ...rules, onlyCondemned: true, share: SHORT_SHARE, maxFreed: wanted })
    const makeRoom = await missing()
    if (makeRoom <= 0) return
    const report = await this.#collect(store, { ...rules, makeRoom, share: SHORT_SHARE })
    if (report === undefined || store.pending !== undefined || report.removed > 0) return
    store.isShort = false
    store.restsUntil = Date.now() + REST
    const left = `nothing is left to collect in ${store.path}`
    this.#log.warn(`${left}: ${formatBytes(await freeBytes(store.path))} free`)
  }

  /** @returns undefined while somebody else collects */
  async #collect(store: Watched, options: Options): Promise<GcReport | undefined> {
    const begun = performance.now()
    const { grace } = this.#plan
    // Whom the own lease holds back for long it is useless to wait for.
    const patience = grace <= LETTING_GO ? grace + LETTING_GO : 0
    const answer = await this.#inProcess({
      path: store.path,
      isObjectStore: store.isObjectStore === true,
      options: { ...options, patience },
    })
    if ('error' in answer) throw new GcProcessError(answer.error)
    if ('busy' in answer) {
      this.#tellBusy(store, answer.busy)
      return undefined
    }
    store.isElsewhere = false
    const { report } = answer
    const { paths, contentBytes, removed, freedBytes, waitingFor, notBefore } = report
    const name = nameOf(store)
    if (notBefore !== undefined) {
      const found = `${counted(paths, 'store path')}, ${formatBytes(contentBytes)}`
      const when = Number.isFinite(notBefore) ? new Date(notBefore).toISOString() : 'later'
      this.#log.info(`found garbage in ${name}: ${found}; it goes when all writers know of it: ${when}`)
      return report
    }
    if (waitingFor.length > 0 && options.onlyCondemned !== true) {
      store.pending = { options, at: Date.now() + grace + LETTING_GO, delay: RETRY }
      const found = `${counted(paths, 'store path')}, ${formatBytes(contentBytes)} of contents`
      const others = waitingFor.filter((pid) => pid !== process.pid)
      const who = others.length === 0 ? 'clients of this server' : `processes ${waitingFor.join(', ')}`
      this.#log.info(`found garbage in ${name}: ${found}; it goes when ${who} have let go of it`)
    }
    if (removed > 0 || freedBytes > 0 || options.onlyCondemned !== true) {
      const took = formatDuration(performance.now() - begun)
      const what = `${counted(removed, 'entry', 'entries')} removed, ${formatBytes(freedBytes)} freed`
      this.#log.info({ removed, freed_bytes: freedBytes }, `collected garbage in ${name}: ${what} in ${took}`)
    }
    this.#state = {
      runs: this.#state.runs + 1,
      removed: this.#state.removed + removed,
      freedBytes: this.#state.freedBytes + freedBytes,
      finished: Math.floor(Date.now() / 1000),
    }
    this.#onState(this.#state)
    return report
  }

  #tellBusy(store: Watched, why: string): void {
    if (!store.isElsewhere) this.#log.info(`not collected now in ${nameOf(store)}: ${why}; next time again`)
    store.isElsewhere = true
  }

  async #inProcess(request: GcRequest): Promise<GcAnswer> {
    const { signal } = this.#stop
    const child = fork(new URL('./gc-process.js', import.meta.url), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // It can be killed at any point.
      signal,
      killSignal: 'SIGKILL',
    })
    return await new Promise<GcAnswer>((resolve, reject) => {
      child.once('message', (answer: GcAnswer) => resolve(answer))
      child.once('error', reject)
      child.once('exit', (code, how) => reject(new Error(`the process ended with ${how ?? code}`)))
      child.send(request, () => {})
    })
  }
}

/** What a process that collects garbage has said in the end. */
class GcProcessError extends Error {
  override readonly name = 'GcProcessError'
}

/** Without options of an address, which may be credentials. */
function nameOf({ path, isObjectStore }: GcTarget): string {
  return isObjectStore ? path.replace(/\?.*/, '') : path
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}
