import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { codeOf, renameNew, tryUnlink } from './file-names.js'
import { loadSyncfs } from './file-system-calls.js'

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

/** What became of an object; `pending`: it needs the next round as well. */
export type FileOutcome = 'written' | 'present' | 'pending' | { readonly failure: FileFailure }

/** What became of the objects that were pending, and of the new ones, each in their order. */
export interface FileRound {
  readonly earlier: readonly FileOutcome[]
  readonly items: readonly FileOutcome[]
}

/** From this many objects on, syncing the file system once is faster than syncing every file and folder. */
const SYNC_FILESYSTEM_FROM = 4

/** How many folders to remember, some 15 MB of them: the shards of blobs and chunks together are 131,072. */
const KNOWN_FOLDERS = 140_000

/** Not a character of keys, so no object can have such a name, and no list shows one. */
const TEMPORARY_MARK = '~'

interface Part {
  readonly item: FileBatchItem
  readonly target: string
  readonly folder: string
  readonly temporary: string
  outcome: FileOutcome
}

/**
 * Writes objects below one folder, durably, many at a time. An object takes two rounds: in the first its content is
 * written to a temporary file, in the second it gets its name; a round ends with one sync of the file system, which
 * serves both. An object without content needs no temporary file, and one round. Synchronous, for a thread of its own.
 */
export class FileBatchWriter {
  readonly #root: string
  readonly #prefix: string
  readonly #syncFilesystem: boolean
  readonly #label = `${process.pid.toString(36)}-${Math.random().toString(36).slice(2, 10)}`
  /** The file systems of folders that were there a moment ago. */
  readonly #folders = new Map<string, number>()
  #pending: readonly Part[] = []
  /** The root, open while something is pending: the kernel reports to it every failed write from then on. */
  #descriptor: number | undefined
  #device = 0
  #count = 0

  /**
   * @param root absolute; created with the first object
   * @param syncFilesystem whether syncing the whole file system is allowed, where that is faster
   */
  constructor(root: string, syncFilesystem: boolean) {
    this.#root = root
    this.#prefix = root.endsWith('/') ? root : `${root}/`
    this.#syncFilesystem = syncFilesystem
  }

  /**
   * Names what is pending, and takes further objects.
   *
   * @param items their contents are not needed any more when this returns
   * @returns all that are `written` are durable
   */
  round(items: readonly FileBatchItem[]): FileRound {
    const earlier = this.#pending
    this.#pending = []
    const parts = items.map((item) => this.#part(item))
    const all = earlier.length === 0 ? parts : [...earlier, ...parts]
    try {
      const together = earlier.length > 0 || parts.length >= SYNC_FILESYSTEM_FROM
      const syncfs = this.#syncFilesystem && together ? loadSyncfs() : undefined
      this.#openRoot()
      if (syncfs === undefined) this.#writeEach(parts)
      else this.#writeTogether(earlier, parts, syncfs)
    } catch (error) {
      // Nothing of a round that could not be synced is acknowledged.
      for (const part of all) {
        if (part.outcome === 'pending') tryUnlink(part.temporary)
        part.outcome = { failure: failureOf(error) }
      }
    }
    this.#pending = parts.filter(({ outcome }) => outcome === 'pending')
    if (this.#pending.length === 0) this.#closeRoot()
    return { earlier: earlier.map(({ outcome }) => outcome), items: parts.map(({ outcome }) => outcome) }
  }

  #part(item: FileBatchItem): Part {
    const target = `${this.#prefix}${item.key}`
    const folder = target.slice(0, target.lastIndexOf('/'))
    const temporary = `${folder}/${TEMPORARY_MARK}${this.#label}-${(this.#count++).toString(36)}`
    return { item, target, folder, temporary, outcome: 'pending' }
  }

  #writeTogether(earlier: readonly Part[], parts: readonly Part[], syncfs: (root: number) => void): void {
    for (const part of earlier) attempt(part, () => publish(part))
    for (const part of parts) attempt(part, () => this.#write(part, false))
    if (this.#descriptor !== undefined && (earlier.some(isWritten) || parts.some(isUnderWay))) {
      syncfs(this.#descriptor)
    }
    this.#syncFolders([...earlier, ...parts].filter((part) => isWritten(part) && this.#isElsewhere(part)))
  }

  #writeEach(parts: readonly Part[]): void {
    for (const part of parts) {
      attempt(part, () => {
        this.#write(part, true)
        if (part.outcome === 'pending') publish(part)
      })
    }
    this.#syncFolders(parts.filter(isWritten))
  }

  #write(part: Part, sync: boolean): void {
    try {
      this.#writeOnce(part, sync)
    } catch (error) {
      // Somebody has removed the folder since.
      if (codeOf(error) !== 'ENOENT' || !this.#folders.delete(part.folder)) throw error
      this.#writeOnce(part, sync)
    }
  }

  /** Writes the content to the temporary file; what has none gets its name at once. */
  #writeOnce(part: Part, sync: boolean): void {
    const { item, target, temporary } = part
    // In a folder that is new there is nothing, so nobody needs to look.
    const isNew = this.#makeFolder(part.folder)
    if (item.content.length === 0) {
      if (this.#createEmpty(target, sync)) part.outcome = 'written'
      else if (item.ifAbsent) part.outcome = 'present'
      if (part.outcome !== 'pending') return
    } else if (item.ifAbsent && !isNew && existsSync(target)) {
      part.outcome = 'present'
      return
    }
    const file = openSync(temporary, 'wx')
    try {
      writeAll(file, item.content)
      if (sync || this.#isElsewhere(part)) fsyncSync(file)
    } catch (error) {
      tryUnlink(temporary)
      throw error
    } finally {
      closeSync(file)
    }
  }

  /** @returns whether there was none of that name */
  #createEmpty(target: string, sync: boolean): boolean {
    let file: number
    try {
      file = openSync(target, 'wx')
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw error
    }
    try {
      if (sync) fsyncSync(file)
    } finally {
      closeSync(file)
    }
    return true
  }

  /** On another file system than the root, which syncing the root's does not reach. */
  #isElsewhere({ folder }: Part): boolean {
    return this.#folders.get(folder) !== this.#device
  }

  /** @returns whether it was not there */
  #makeFolder(folder: string): boolean {
    if (this.#folders.has(folder)) return false
    const first = mkdirSync(folder, { recursive: true })
    if (this.#folders.size >= KNOWN_FOLDERS) this.#folders.clear()
    // A folder that is new is where its parent is.
    this.#folders.set(folder, first === folder ? this.#deviceOf(dirname(folder)) : statSync(folder).dev)
    return first !== undefined
  }

  #deviceOf(folder: string): number {
    let device = this.#folders.get(folder)
    if (device === undefined) {
      device = statSync(folder).dev
      this.#folders.set(folder, device)
    }
    return device
  }

  #openRoot(): void {
    if (this.#descriptor !== undefined) return
    const first = mkdirSync(this.#root, { recursive: true })
    // The folders between the root and the objects are synced with these.
    if (first !== undefined) {
      for (let folder = this.#root; folder.length >= first.length; folder = dirname(folder)) {
        syncFolder(dirname(folder))
      }
    }
    const descriptor = openSync(this.#root, 'r')
    this.#descriptor = descriptor
    this.#device = fstatSync(descriptor).dev
  }

  #closeRoot(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
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
  const { item, temporary, target } = part
  try {
    if (!item.ifAbsent) {
      renameSync(temporary, target)
      part.outcome = 'written'
    } else part.outcome = renameNew(temporary, target) ? 'written' : 'present'
  } catch (error) {
    tryUnlink(temporary)
    throw error
  }
}

function isWritten({ outcome }: Part): boolean {
  return outcome === 'written'
}

function isUnderWay({ outcome }: Part): boolean {
  return outcome === 'written' || outcome === 'pending'
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

function failureOf(error: unknown): FileFailure {
  return { code: codeOf(error), message: error instanceof Error ? error.message : String(error) }
}
