import type { WriteSession } from '@neve/embedded-store'
import { type CachedFile, encodeFolder, folderKey } from './file-cache.js'
import type { FileResult } from './file-tasks-protocol.js'

interface OpenFolder {
  readonly path: Uint8Array
  readonly files: Map<string, CachedFile>
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
    this.#open.push({ path, files: new Map(), device: 0, fresh: false })
  }

  file(name: Buffer, file: FileResult): void {
    const folder = this.#open.at(-1)
    if (folder === undefined || file.seen === undefined || file.digest === undefined) return
    folder.device = file.seen.device
    // A file that was taken from the record has no contents in the slot.
    if (file.rawOffset >= 0 || file.large) folder.fresh = true
    folder.files.set(name.toString('latin1'), {
      inode: file.seen.inode,
      size: file.size,
      modified: file.seen.modified,
      changed: file.seen.changed,
      executable: file.executable,
      digest: file.digest,
    })
  }

  leave(): void {
    const folder = this.#open.pop()
    if (folder === undefined) return
    // The root's record says that the tree is known, whether it has files itself or not.
    const root = this.#open.length === 0
    if (root ? folder.files.size > 0 && !folder.fresh : !folder.fresh || folder.files.size === 0) return
    const record = encodeFolder({ device: folder.device, files: folder.files })
    this.#session.put('files', folderKey(withSlash(folder.path)), record)
  }
}

/** A folder's path with a slash at its end: the form that records are kept under. */
export function withSlash(path: Uint8Array): Uint8Array {
  return path[path.length - 1] === 0x2f ? path : Buffer.concat([path, Buffer.from('/')])
}
