import { mkdir, realpath } from 'node:fs/promises'
import { EmbeddedStore } from '@neve/embedded-store'

interface Shared {
  readonly engine: Promise<EmbeddedStore>
  users: number
}

const shared = new Map<string, Shared>()
const opened = new Set<EmbeddedStore>()

/** The engines that compositions of this process have open. */
export function openEngines(): readonly EmbeddedStore[] {
  return [...opened]
}

/** An engine that others may use too; it is closed when the last of them releases it. */
export interface EngineLease {
  readonly engine: EmbeddedStore
  /** Calling it again does nothing. */
  release(): Promise<void>
}

/**
 * Opens the engine of a folder, or takes the one that is open in this process.
 *
 * @throws EmbeddedStoreError
 */
export async function leaseEngine(path: string, readOnly: boolean): Promise<EngineLease> {
  if (!readOnly) await mkdir(path, { recursive: true })
  const key = JSON.stringify([await realpath(path), readOnly])
  let entry = shared.get(key)
  if (entry === undefined) {
    entry = { engine: EmbeddedStore.open(path, { readOnly }), users: 0 }
    shared.set(key, entry)
  }
  const { engine } = entry
  entry.users += 1
  let isReleased = false
  const release = async (): Promise<void> => {
    if (isReleased) return
    isReleased = true
    entry.users -= 1
    if (entry.users > 0) return
    if (shared.get(key) === entry) shared.delete(key)
    const closing = await engine
    opened.delete(closing)
    await closing.close()
  }
  try {
    const ready = await engine
    opened.add(ready)
    return { engine: ready, release }
  } catch (error) {
    isReleased = true
    entry.users -= 1
    if (shared.get(key) === entry) shared.delete(key)
    throw error
  }
}
