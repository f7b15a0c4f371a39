import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedStoreError } from './errors.js'
import { StoreLock } from './file-lock.js'
import type { StoreLayout } from './format.js'
import { rebuildTables, tablesAreLost } from './rebuild.js'

/** How long the lock of the store is waited for, in milliseconds: a rebuild of many GiB takes its time. */
const PATIENCE = 60_000
const RETRY = 10

export function busy(layout: StoreLayout, reason: string): EmbeddedStoreError {
  return new EmbeddedStoreError('busy', `the store at ${layout.root} is busy: ${reason}`)
}

/** Takes the shared lock of a store; where its tables are lost, whoever gets the exclusive lock makes them first. */
export async function lockWithTables(
  layout: StoreLayout,
  salt: number,
  readOnly: boolean,
): Promise<StoreLock> {
  const lost = (): boolean => !readOnly && tablesAreLost(layout)
  for (const until = Date.now() + PATIENCE; Date.now() < until; await sleep(RETRY)) {
    const lock = StoreLock.tryTake(layout.formatFile, lost() ? 'exclusive' : 'shared')
    if (lock === undefined) continue
    try {
      if (!lost()) {
        if (lock.become('shared')) return lock
      } else if (lock.become('exclusive')) {
        await rebuildTables(layout, salt)
        if (lock.become('shared')) return lock
      }
    } catch (error) {
      lock.release()
      throw error
    }
    lock.release()
  }
  throw busy(layout, 'somebody is making its tables anew, or has it open without them')
}
