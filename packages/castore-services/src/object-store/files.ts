import { close, fstat, open, read, type Stats } from 'node:fs'
import { stat, unlink, utimes } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { CastoreError } from '../errors.js'
import { fileError } from './file-errors.js'
import { listFiles } from './file-list.js'
import { FileLocks } from './file-locks.js'
import { FileWriter } from './file-writer.js'
import { assertGetOptions, assertKey, assertMaxSize, assertPrefix, rangeLength } from './keys.js'
import type { GetObjectOptions, NewObject, ObjectMeta, ObjectStore } from './object-store.js'

// Half the price of FileHandle, which counts where objects are small.
const openFile = promisify(open)
const statFile = promisify(fstat) as (descriptor: number) => Promise<Stats>
const readFile = promisify(read)
const closeFile = promisify(close)

/** Files open for reading at once: far below what a process may have. */
const OPEN_FILES = 64

/** As many as one batch takes: what is put at the same time shares its syncs. */
const CONCURRENCY = 4096

/** Options of {@link FileObjectStore}. */
export interface FileObjectStoreInit {
  /** The folder that keys are relative to. It is created with the first object. */
  readonly root: string
  /**
   * Whether a batch of writes may sync the whole file system that `root` is on (`syncfs`, Linux from 5.8 on) instead of
   * each file. Set it to false where others write a lot to the same file system: then everybody waits for everything.
   * Default: true
   */
  readonly syncFilesystem?: boolean | undefined
}

/**
 * Keeps objects as files below a folder, named as their keys. A file is written beside its place, synced, and renamed,
 * and its folder synced, before `put` settles; puts at the same time share the syncs, so put many at once. Several
 * processes may use one folder. What a crash leaves behind is never listed or read.
 */
export class FileObjectStore implements ObjectStore {
  readonly name: string
  readonly root: string
  readonly concurrency = CONCURRENCY
  readonly #writer: FileWriter
  readonly #locks: FileLocks
  readonly #open = new ByteSemaphore(OPEN_FILES)
  #closed = false

  constructor({ root, syncFilesystem = true }: FileObjectStoreInit) {
    this.root = resolve(root)
    this.name = pathToFileURL(this.root).href
    this.#writer = new FileWriter({ root: this.root, syncFilesystem }, this.name)
    this.#locks = new FileLocks(this.root, this.name)
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectMeta | undefined> {
    this.#begin(options)
    assertKey(key)
    try {
      const found = await abortable(stat(join(this.root, key)), options.signal)
      return found.isFile() ? { key, size: found.size, modified: found.mtimeMs } : undefined
    } catch (error) {
      return this.#absent(error, `look for object ${key}`, options)
    }
  }

  async get(key: string, options: GetObjectOptions = {}): Promise<Uint8Array | undefined> {
    this.#begin(options)
    assertKey(key)
    assertGetOptions(options)
    const permit = await this.#open.acquire(1, options)
    const reading = this.#read(key, options).finally(() => permit.release())
    return await abortable(reading, options.signal)
  }

  async put(key: string, content: Uint8Array, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    await this.#writer.write([{ key, content }], false, options.signal)
  }

  async putIfAbsent(key: string, content: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    const [written = false] = await this.#writer.write([{ key, content }], true, options.signal)
    return written
  }

  async putAllIfAbsent(
    objects: readonly NewObject[],
    options: CallOptions = {},
  ): Promise<readonly boolean[]> {
    this.#begin(options)
    for (const { key } of objects) assertKey(key)
    return await this.#writer.write(objects, true, options.signal)
  }

  /** Undefined on systems whose files cannot be locked, or which are not Linux. */
  get replace(): ObjectStore['replace'] {
    return FileLocks.supported ? this.#replace : undefined
  }

  readonly #replace: NonNullable<ObjectStore['replace']> = async (key, expected, content, options = {}) => {
    this.#begin(options)
    assertKey(key)
    if ((await this.head(key, options))?.size !== expected.length) return false
    try {
      return await this.#locks.hold(key, () => this.#replaceLocked(key, expected, content, options), options)
    } catch (error) {
      throw this.#failure(error, `replace object ${key}`, options)
    }
  }

  async #replaceLocked(
    key: string,
    expected: Uint8Array,
    content: Uint8Array,
    { signal }: CallOptions,
  ): Promise<boolean> {
    const range = { offset: 0, length: expected.length + 1 }
    const found = await this.get(key, { range, signal })
    if (found === undefined || Buffer.compare(found, expected) !== 0) return false
    // Whoever has the lock next is to find it, cancelled or not.
    await this.#writer.write([{ key, content }], false)
    return true
  }

  async touch(key: string, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    const now = new Date()
    try {
      await abortable(utimes(join(this.root, key), now, now), options.signal)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') {
        return this.#absent(error, `touch object ${key}`, options) ?? false
      }
      // Only its owner may say when a file was written; who may write it writes it.
      const content = await this.get(key, options)
      if (content !== undefined) await this.put(key, content, options)
      return content !== undefined
    }
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectMeta> {
    this.#begin(options)
    assertPrefix(prefix)
    try {
      for await (const found of listFiles(this.root, prefix, options)) {
        yield found
        options.signal?.throwIfAborted()
      }
    } catch (error) {
      throw this.#failure(error, `list objects below '${prefix}'`, options)
    }
  }

  async delete(key: string, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    try {
      await abortable(unlink(join(this.root, key)), options.signal)
    } catch (error) {
      this.#absent(error, `delete object ${key}`, options)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#writer.close()
  }

  async #read(key: string, options: GetObjectOptions): Promise<Uint8Array | undefined> {
    const action = `read object ${key}`
    let file: number
    try {
      file = await openFile(join(this.root, key), 'r')
    } catch (error) {
      return this.#absent(error, action, options)
    }
    try {
      const found = await statFile(file)
      if (!found.isFile()) return undefined
      const { range, maxSize } = options
      const length = rangeLength(range, found.size)
      assertMaxSize(this.name, key, length, maxSize)
      const content = new Uint8Array(length)
      const start = range?.offset ?? 0
      for (let at = 0; at < length; ) {
        const { bytesRead } = await readFile(file, content, at, length - at, start + at)
        if (bytesRead === 0) throw new Error('the file became shorter while it was read')
        at += bytesRead
      }
      return content
    } catch (error) {
      throw this.#failure(error, action, options)
    } finally {
      await closeFile(file)
    }
  }

  /** What there is no file for is absent; so is what would lie below a file. */
  #absent(error: unknown, action: string, options: CallOptions): undefined {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined
    throw this.#failure(error, action, options)
  }

  #failure(error: unknown, action: string, { signal }: CallOptions): unknown {
    if (error instanceof CastoreError || (signal?.aborted && error === signal.reason)) return error
    return fileError(error as NodeJS.ErrnoException, action, this.name, { cause: error })
  }

  #begin({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', `the object store is closed (${this.name})`)
  }
}
