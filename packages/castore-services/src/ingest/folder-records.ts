import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { FolderRecordWriter, folderKey } from './file-cache.js'
import type { FileResult, FileSeen } from './file-tasks-protocol.js'

interface OpenFolder {
  readonly path: Uint8Array
  readonly files: { readonly name: Uint8Array; readonly file: FileResult; readonly seen: FileSeen }[]
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
    this.#open.push({ path, files: [], device: 0, fresh: false })
  }

  file(name: Uint8Array, file: FileResult): void {
    const folder = this.#open.at(-1)
    if (folder === undefined || file.seen === undefined || file.digest === undefined) return
    // A file that was taken from the record has no contents in the slot.
    if (file.rawOffset >= 0 || file.large) folder.fresh = true
    if (folder.files.length > 0 && folder.device !== file.seen.device) return
    folder.device = file.seen.device
    folder.files.push({ name, file, seen: file.seen })
  }

  leave(): void {
    const folder = this.#open.pop()
    if (folder === undefined) return
    // The root's record says that the tree is known, whether it has files itself or not.
    const root = this.#open.length === 0
    const empty = folder.files.length === 0
    if (root ? !empty && !folder.fresh : empty || !folder.fresh) return
    const record = new FolderRecordWriter()
    for (const { name, file, seen } of folder.files) {
      if (file.digest !== undefined) record.add(name, file.size, file.executable, file.digest, seen)
    }
    this.#session.put('files', folderKey(withSlash(folder.path)), record.finish(folder.device))
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
