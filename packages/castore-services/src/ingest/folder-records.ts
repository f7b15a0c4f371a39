import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { encodeRecord, folderKey } from './file-cache.js'
import type { FileRun } from './tree-results.js'

interface OpenFolder {
  readonly path: Uint8Array
  readonly entries: Uint8Array[]
  count: number
  device: number
  /** Whether anything differs from the record that is there. */
  fresh: boolean
}

/** Collects what files looked like, and writes one record a folder. */
export class FolderRecords {
  readonly #session: WriteSession
  readonly #open: OpenFolder[] = []

  constructor(session: WriteSession) {
    this.#session = session
  }

  enter(path: Uint8Array): void {
    this.#open.push({ path, entries: [], count: 0, device: 0, fresh: false })
  }

  run({
    entries,
    entryCount,
    device,
    read,
  }: Pick<FileRun, 'entries' | 'entryCount' | 'device' | 'read'>): void {
    const folder = this.#open.at(-1)
    if (folder === undefined || entryCount === 0) return
    if (read) folder.fresh = true
    if (folder.count > 0 && folder.device !== device) return
    folder.device = device
    folder.count += entryCount
    folder.entries.push(entries)
  }

  leave(): void {
    const folder = this.#open.pop()
    if (folder === undefined) return
    // The root's record says that the tree is known, whether it has files itself or not.
    const root = this.#open.length === 0
    const empty = folder.count === 0
    if (root ? !empty && !folder.fresh : empty || !folder.fresh) return
    const record = encodeRecord(folder.device, folder.count, folder.entries)
    this.#session.put('files', folderKey(withSlash(folder.path)), record)
  }
}

/** A folder's path with a slash at its end: the form that records are kept under. */
export function withSlash(path: Uint8Array): Uint8Array {
  return path[path.length - 1] === 0x2f ? path : Buffer.concat([path, Buffer.from('/')])
}

/** Whether the files of this tree are known from an earlier import: then they need not be read again. */
export function isRecorded(engine: EmbeddedStore, path: Uint8Array): boolean {
  return engine.has('files', folderKey(withSlash(path)))
}
