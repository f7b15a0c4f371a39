import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { loadSyncfs } from './syncfs.js'

/** One object of a batch. */
export interface FileBatchItem {
  readonly key: string
  readonly content: Uint8Array
  readonly ifAbsent: boolean
}

/** What a system call failed with, in a form that may be sent between threads. */
export interface FileFailure {
  readonly code: string
  readonly message: string
}

/** What became of an object. */
export type FileOutcome = { readonly written: boolean } | { readonly failure: FileFailure }

/** From this many objects on, syncing the file system once is faster than syncing every file and folder. */
const SYNC_FILESYSTEM_FROM = 8

/** Not a character of keys, so no object can have such a name, and no list shows one. */
const TEMPORARY_MARK = '~'

interface Part {
  readonly item: FileBatchItem
  readonly target: string
  readonly folder: string
  readonly temporary: string
  /** On another file system than the root, which syncing the root's does not reach. */
  elsewhere: boolean
  outcome: FileOutcome
}

/**
 * Writes batches of objects below one folder, durably: all contents to temporary files, synced, then all names, synced.
 * Synchronous, for a thread of its own.
 */
export class FileBatchWriter {
  readonly #root: string
  readonly #syncFilesystem: boolean
  readonly #label = `${process.pid.toString(36)}-${Math.random().toString(36).slice(2, 10)}`
  #count = 0

  /**
   * @param root absolute; created with the first object
   * @param syncFilesystem whether syncing the whole file system is allowed, where that is faster
   */
  constructor(root: string, syncFilesystem: boolean) {
    this.#root = root
    this.#syncFilesystem = syncFilesystem
  }

  /** @returns what became of each item, in their order; all that say they are written are durable */
  write(items: readonly FileBatchItem[]): FileOutcome[] {
    const parts = items.map((item) => this.#part(item))
    try {
      this.#makeFolder(this.#root)
      this.#commit(parts)
    } catch (error) {
      // Nothing of a batch that could not be synced is acknowledged.
      for (const part of parts) part.outcome = { failure: failureOf(error) }
    }
    return parts.map(({ outcome }) => outcome)
  }

  #part(item: FileBatchItem): Part {
    const target = join(this.#root, item.key)
    const folder = dirname(target)
    const temporary = join(folder, `${TEMPORARY_MARK}${this.#label}-${(this.#count++).toString(36)}`)
    return { item, target, folder, temporary, elsewhere: false, outcome: { written: true } }
  }

  #commit(parts: readonly Part[]): void {
    const syncfs = this.#syncFilesystem && parts.length >= SYNC_FILESYSTEM_FROM ? loadSyncfs() : undefined
    // Opened before anything is written: the kernel reports to it every failed write from then on.
    const root = openSync(this.#root, 'r')
    try {
      const device = fstatSync(root).dev
      for (const part of parts) attempt(part, () => this.#writeTemporary(part, device, syncfs === undefined))
      try {
        if (syncfs !== undefined && parts.some(isWritten)) syncfs(root)
      } catch (error) {
        for (const part of parts) if (isWritten(part)) tryUnlink(part.temporary)
        throw error
      }
      for (const part of parts) if (isWritten(part)) attempt(part, () => publish(part))
      const written = parts.filter(isWritten)
      if (syncfs !== undefined && written.length > 0) syncfs(root)
      this.#syncFolders(syncfs === undefined ? written : written.filter(({ elsewhere }) => elsewhere))
    } finally {
      closeSync(root)
    }
  }

  #writeTemporary(part: Part, device: number, sync: boolean): void {
    const { item } = part
    if (item.ifAbsent && existsSync(part.target)) {
      part.outcome = { written: false }
      return
    }
    const file = this.#openNew(part)
    try {
      part.elsewhere = fstatSync(file).dev !== device
      writeAll(file, item.content)
      if (sync || part.elsewhere) fsyncSync(file)
    } catch (error) {
      tryUnlink(part.temporary)
      throw error
    } finally {
      closeSync(file)
    }
  }

  #openNew({ temporary, folder }: Part): number {
    try {
      return openSync(temporary, 'wx')
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      this.#makeFolder(folder)
      return openSync(temporary, 'wx')
    }
  }

  #makeFolder(folder: string): void {
    try {
      mkdirSync(folder)
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EEXIST') return
      if (code !== 'ENOENT') throw error
      this.#makeFolder(dirname(folder))
      this.#makeFolder(folder)
      return
    }
    // The folders between the root and the objects are synced with these.
    if (folder.length <= this.#root.length) syncFolder(dirname(folder))
  }

  #syncFolders(parts: readonly Part[]): void {
    const folders = new Set<string>()
    for (const { folder } of parts) {
      for (let at = folder; !folders.has(at) && at.length >= this.#root.length; at = dirname(at)) {
        folders.add(at)
        if (at === dirname(at)) break
      }
    }
    for (const folder of folders) syncFolder(folder)
  }
}

function publish(part: Part): void {
  try {
    if (!part.item.ifAbsent) renameSync(part.temporary, part.target)
    else part.outcome = { written: linkNew(part.temporary, part.target) }
  } catch (error) {
    tryUnlink(part.temporary)
    throw error
  }
}

/** Gives a file its name unless there is one of that name: at once, where the file system has links. */
function linkNew(temporary: string, target: string): boolean {
  try {
    linkSync(temporary, target)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'EEXIST') {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error
      if (!existsSync(target)) {
        renameSync(temporary, target)
        return true
      }
    }
    tryUnlink(temporary)
    return false
  }
  tryUnlink(temporary)
  return true
}

function isWritten({ outcome }: Part): boolean {
  return 'written' in outcome && outcome.written
}

function attempt(part: Part, step: () => void): void {
  try {
    step()
  } catch (error) {
    part.outcome = { failure: failureOf(error) }
  }
}

function writeAll(file: number, content: Uint8Array): void {
  for (let at = 0; at < content.length; ) at += writeSync(file, content, at)
}

function syncFolder(folder: string): void {
  // Windows has no such thing as syncing a folder.
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is invisible, and the failure that led here matters more.
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code)
}

function failureOf(error: unknown): FileFailure {
  return { code: codeOf(error), message: error instanceof Error ? error.message : String(error) }
}
