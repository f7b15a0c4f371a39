import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import type { ObjectStore } from './object-store.js'

/** Tells which objects a collector is removing at this moment. */
export const NOTICE_KEY = 'neve/gc/sweep'
/** A collector removes nothing under a notice that is older than this, in milliseconds. */
export const NOTICE_LIFE = 30_000
/** A notice that has not changed for so long is of a collector that was killed; its last requests are over by then. */
export const NOTICE_DEAD = 120_000
const MAX_SIZE = 1024 * 1024
const POLL = 100

/**
 * What a collector last said: who it is and which step this is in the first line, what it removes in the others. No two
 * notices are the same, so who reads the same one twice knows that nothing else was removed in between.
 */
export class SweepNotice {
  readonly #keys: ReadonlySet<string>

  /** @param text as stored; empty where there is none */
  constructor(readonly text: string) {
    this.#keys = new Set(text.split('\n').slice(1))
  }

  /** Whether the collector has said that it is done. */
  get isOver(): boolean {
    return this.text === '' || this.text.startsWith('done ')
  }

  covers(key: string): boolean {
    return this.#keys.has(key)
  }
}

/** @param step tells apart all notices of all collectors */
export function encodeNotice(step: string, keys: readonly string[]): Uint8Array {
  return Buffer.from([step, ...keys].join('\n'))
}

export async function readNotice(store: ObjectStore, { signal }: CallOptions): Promise<SweepNotice> {
  try {
    const stored = await store.get(NOTICE_KEY, { maxSize: MAX_SIZE, signal })
    return new SweepNotice(stored === undefined ? '' : Buffer.from(stored).toString())
  } catch (error) {
    if (!(error instanceof CastoreError) || error.code !== 'too-large') throw error
    throw new CastoreError('data-loss', `object ${NOTICE_KEY} cannot be read: ${error.message}`, {
      cause: error,
    })
  }
}

/**
 * Waits until the notice is another one, or has been the same for as long as no collector would leave it.
 *
 * @returns whether it is another one
 */
export async function noticeChanges(
  store: ObjectStore,
  notice: SweepNotice,
  { signal }: CallOptions,
  dead = NOTICE_DEAD,
): Promise<boolean> {
  for (const until = performance.now() + dead; performance.now() < until; ) {
    try {
      await sleep(POLL, undefined, { signal })
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    }
    if ((await readNotice(store, { signal })).text !== notice.text) return true
  }
  return false
}
