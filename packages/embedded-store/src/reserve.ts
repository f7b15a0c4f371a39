import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { allocate } from './file-lock.js'
import { freeBytes } from './tables-file.js'

/** What is set aside for the garbage collector, in bytes, where there is plenty left. */
const SIZE = 4 * 1024 * 1024
const PLENTY = 16 * SIZE

function pathOf(segments: string): string {
  return join(dirname(segments), 'reserve')
}

/**
 * Sets blocks aside, in a file without content, so that the garbage collector can write removals down, and copies, where
 * the disk is full. Does nothing where that is not possible.
 *
 * @param segments the folder of the segments
 */
export function setReserveAside(segments: string): void {
  const path = pathOf(segments)
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined || freeBytes(segments) < PLENTY) return
    const descriptor = openSync(path, 'wx', 0o644)
    try {
      if (allocate(descriptor, 0, SIZE) !== true) rmSync(path, { force: true })
    } finally {
      closeSync(descriptor)
    }
  } catch {
    // The store is as good without it, until the disk is full.
  }
}

/** Whether so little is free that the garbage collector has to take small steps. */
export function isCrowded(segments: string): boolean {
  return freeBytes(segments) < PLENTY
}

/** Gives back what was set aside. */
export function useReserve(segments: string): void {
  rmSync(pathOf(segments), { force: true })
}
