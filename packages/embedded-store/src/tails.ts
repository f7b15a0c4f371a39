import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock } from './file-lock.js'
import { SEGMENT_HEADER, segmentIds, segmentName } from './segment.js'
import { isRemoved } from './table-values.js'
import type { Tables } from './tables.js'

/**
 * Cuts off what dead writers have left behind the committed lengths. A rebuild of the tables would take it for written. So
 * this comes before anything goes that it may lean on: garbage, and the tail that the same writer has left in another
 * segment.
 */
export function cutTails(folder: string, tables: Tables): void {
  const files = segmentIds(folder)
  tables.refresh()
  // Whoever went on in another segment has most likely made it.
  for (const id of files.reverse()) {
    const state = tables.segmentState(id)
    if (state !== undefined && isRemoved(state)) continue
    let descriptor: number
    try {
      descriptor = openSync(join(folder, segmentName(id)), 'r+')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue
      throw error
    }
    try {
      if (tryLock(descriptor, 'exclusive') !== true) continue
      tables.refresh()
      const committed = Math.max(tables.segmentState(id)?.committed ?? 0, SEGMENT_HEADER)
      if (fstatSync(descriptor).size <= committed) continue
      ftruncateSync(descriptor, committed)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }
}
