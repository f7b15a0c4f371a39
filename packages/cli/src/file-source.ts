import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@neve/store-pathinfo'
import { hostPath } from './arguments.js'

/** A temporary store that has what lies on disk. */
export interface FileSource {
  /** Close it, then {@link remove}. */
  readonly store: Store
  remove(): Promise<void>
}

/** Takes files and trees of the host into a store in the folder for temporary files. */
export async function openFileSource(paths: readonly string[], signal: AbortSignal): Promise<FileSource> {
  const { openLocalStore } = await import('@neve/store-pathinfo')
  const folder = await mkdtemp(join(tmpdir(), 'neve-files-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  let store: Store | undefined
  try {
    store = await openLocalStore(join(folder, 'store'))
    for (const path of paths) await store.importPath(hostPath(path), { name: 'files', signal })
    return { store, remove }
  } catch (error) {
    await store?.close()
    await remove()
    throw error
  }
}
