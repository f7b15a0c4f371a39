import type { Entry, Operator, ReadOptions } from 'opendal'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { CastoreError } from '../errors.js'
import { assertGetOptions, assertKey, assertMaxSize, assertPrefix, rangeLength } from './keys.js'
import type { GetObjectOptions, ObjectMeta, ObjectRange, ObjectStore } from './object-store.js'
import { OpendalFailure } from './opendal-failure.js'
import { listFolders, listInOrder, objectMeta } from './opendal-list.js'
import { RemoteFolders } from './remote-folders.js'
import { type RetryPolicy, withRetries } from './retry.js'
import type { ClientOptions } from './storage-options.js'

/** The longest pause between two attempts, in milliseconds. */
const MAX_DELAY = 10_000

/** What one request deletes, at most, where the cloud takes several. */
const DELETED_AT_ONCE = 256

/** What {@link OpendalObjectStore} needs. */
export interface OpendalObjectStoreInit {
  readonly operator: Operator
  readonly name: string
  readonly client: ClientOptions
  /** Values that no message may contain. */
  readonly secrets: readonly string[]
  /** Whether its server takes a condition on what a write replaces, rather than dropping it without a word. */
  readonly comparesTags: boolean
  /** Whether its server was shown to remove many objects by one request. */
  readonly deletesMany: boolean
}

/**
 * An object store behind Apache OpenDAL. Made by `openObjectStore`.
 *
 * Every request but `deleteAll` is safe to repeat: whole objects are written, and a `putIfAbsent` that finds an object after a lost
 * answer compares it with what it wrote. A call that is cancelled returns at once, its request runs to its end.
 */
export class OpendalObjectStore implements ObjectStore {
  readonly name: string
  readonly #operator: Operator
  readonly #retry: RetryPolicy
  readonly #slots: ByteSemaphore
  readonly #secrets: readonly string[]
  readonly #conditional: boolean
  readonly #folders: RemoteFolders | undefined
  readonly replace: ObjectStore['replace']
  readonly deleteAll: ObjectStore['deleteAll']
  #closed = false

  constructor({ operator, name, client, secrets, comparesTags, deletesMany }: OpendalObjectStoreInit) {
    const { writeWithIfNotExists, createDir, listWithRecursive } = operator.capability()
    this.name = name
    this.#operator = operator
    this.#retry = { maxRetries: client.maxRetries, firstDelay: client.retryDelay, maxDelay: MAX_DELAY }
    this.#slots = new ByteSemaphore(client.concurrency)
    this.#secrets = secrets
    this.#conditional = client.conditionalPut && writeWithIfNotExists
    if (comparesTags && client.conditionalPut) this.replace = this.#replace.bind(this)
    if (deletesMany) this.deleteAll = this.#deleteAll.bind(this)
    const hasFolders = createDir && !listWithRecursive
    this.#folders = hasFolders ? new RemoteFolders((folder) => this.#makeFolder(folder)) : undefined
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectMeta | undefined> {
    this.#begin(options)
    assertKey(key)
    return this.#head(key, options)
  }

  async get(key: string, options: GetObjectOptions = {}): Promise<Uint8Array | undefined> {
    this.#begin(options)
    assertKey(key)
    assertGetOptions(options)
    const { range, maxSize } = options
    if (range !== undefined) return this.#getRange(key, range, options)
    const content = await this.#run(`read object ${key}`, options, absent, () => this.#read(key))
    if (content !== undefined) assertMaxSize(this.name, key, content.length, maxSize)
    return content && plain(content)
  }

  async put(key: string, content: Uint8Array, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    await this.#makeFolders(key, options)
    await this.#run(`write object ${key}`, options, fail, () => this.#operator.write(key, buffer(content)))
  }

  async putIfAbsent(key: string, content: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    if (!this.#conditional) {
      if ((await this.#head(key, options)) !== undefined) return false
      await this.put(key, content, options)
      return true
    }
    let attempts = 0
    const outcome = await this.#run(`write object ${key}`, options, present, async () => {
      attempts++
      await this.#operator.write(key, buffer(content), { ifNotExists: true })
      return true
    })
    if (outcome === true) return true
    // It may have been written by an attempt whose answer was lost.
    const found = attempts > 1 ? await this.get(key, options) : undefined
    return found !== undefined && Buffer.compare(found, content) === 0
  }

  async #replace(
    key: string,
    expected: Uint8Array,
    content: Uint8Array,
    options: CallOptions = {},
  ): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    const meta = await this.#run(`look for object ${key}`, options, absent, () => this.#operator.stat(key))
    const tag = meta?.etag
    if (typeof tag !== 'string') return false
    const action = `read object ${key}`
    const found = await this.#run(action, options, changed, () => this.#operator.read(key, { ifMatch: tag }))
    if (found === undefined || Buffer.compare(found, expected) !== 0) return false
    let attempts = 0
    const outcome = await this.#run(`write object ${key}`, options, changed, async () => {
      attempts++
      await this.#operator.write(key, buffer(content), { ifMatch: tag })
      return true
    })
    if (outcome === true) return true
    // It may have been written by an attempt whose answer was lost.
    const now = attempts > 1 ? await this.get(key, options) : undefined
    return now !== undefined && Buffer.compare(now, content) === 0
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectMeta> {
    this.#begin(options)
    assertPrefix(prefix)
    const action = `list objects below '${prefix}'`
    // Where there are folders, one that nothing was written to is missing; a bucket that is missing is a mistake.
    const found =
      this.#folders === undefined
        ? listInOrder(this.#operator, prefix, (request) => this.#run(action, options, fail, request))
        : listFolders(prefix, (folder) => this.#listFolder(folder, action, options))
    for await (const meta of found) {
      yield meta
      options.signal?.throwIfAborted()
    }
  }

  async delete(key: string, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    await this.#run(`delete object ${key}`, options, absent, () => this.#operator.delete(key))
  }

  async #deleteAll(keys: readonly string[], options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    for (const key of keys) assertKey(key)
    for (let at = 0; at < keys.length; at += DELETED_AT_ONCE) {
      const some = keys.slice(at, at + DELETED_AT_ONCE)
      const remove = () => this.#operator.remove(some)
      await this.#run(`delete ${some.length} objects`, options, absent, remove, {
        ...this.#retry,
        maxRetries: 0,
      })
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const all = await this.#slots.acquire(this.#slots.capacity)
    all.release()
  }

  async #head(key: string, options: CallOptions): Promise<ObjectMeta | undefined> {
    const meta = await this.#run(`look for object ${key}`, options, absent, () => this.#operator.stat(key))
    return meta?.isFile() ? objectMeta(key, meta) : undefined
  }

  async #listFolder(folder: string, action: string, options: CallOptions): Promise<readonly Entry[]> {
    try {
      return await this.#run(action, options, nothing, () => this.#operator.list(folder))
    } catch (error) {
      // Servers refuse to list what is an object.
      if (!isRefusal(error) || folder === '') throw error
      if ((await this.#head(folder.slice(0, -1), options)) === undefined) throw error
      return []
    }
  }

  /** In a store that has folders, those of a key. */
  async #makeFolders(key: string, options: CallOptions): Promise<void> {
    if (this.#folders !== undefined) await abortable(this.#folders.makeFor(key, options), options.signal)
  }

  async #makeFolder(folder: string): Promise<void> {
    const action = `make folder ${folder}`
    try {
      await this.#run(action, {}, fail, () => this.#operator.createDir(folder))
    } catch (error) {
      if (!isRefusal(error)) throw error
      // Somebody else may have made it at the same moment, which servers call by different names.
      const meta = await this.#run(action, {}, absent, () => this.#operator.stat(folder))
      if (!meta?.isDirectory()) throw error
    }
  }

  /** Apache forbids reading what is removed between its look at the file and its opening it: so it is asked once more. */
  async #read(key: string, options?: ReadOptions): Promise<Buffer> {
    try {
      return await this.#operator.read(key, options)
    } catch (error) {
      if (this.#folders === undefined || new OpendalFailure(error).status !== 403) throw error
      await this.#operator.stat(key)
      return await this.#operator.read(key, options)
    }
  }

  /** Most ranges lie within their object: how long it is, is asked only when one turns out not to. */
  async #getRange(
    key: string,
    range: ObjectRange,
    options: GetObjectOptions,
  ): Promise<Uint8Array | undefined> {
    const action = `read object ${key}`
    const read = ({ offset, length }: ObjectRange) =>
      this.#read(key, { offset: BigInt(offset), size: BigInt(length) })
    // Nothing is not asked for, and what is certainly too large neither.
    if (range.length > 0 && range.length <= (options.maxSize ?? range.length)) {
      const content = await this.#run(action, options, absentOrOutOfRange, () => read(range))
      if (content !== OUT_OF_RANGE) return content && plain(content)
    }
    const meta = await this.#head(key, options)
    if (meta === undefined) return undefined
    const length = rangeLength(range, meta.size)
    assertMaxSize(this.name, key, length, options.maxSize)
    if (length === 0) return new Uint8Array(0)
    const content = await this.#run(action, options, absent, () => read({ offset: range.offset, length }))
    return content && plain(content)
  }

  /**
   * Makes a request, again and again where that may help.
   *
   * @param outcome what a failure stands for that is none; else it throws it
   */
  async #run<T, U>(
    action: string,
    options: CallOptions,
    outcome: (failure: OpendalFailure) => U,
    request: () => Promise<T>,
    retry: RetryPolicy = this.#retry,
  ): Promise<T | U> {
    const attempt = async (): Promise<T | U> => {
      const permit = await this.#slots.acquire(1, options)
      const running = request().finally(() => permit.release())
      try {
        return await abortable(running, options.signal)
      } catch (error) {
        if (options.signal?.aborted) throw options.signal.reason
        return outcome(new OpendalFailure(error))
      }
    }
    const advise = (error: unknown) => (error instanceof OpendalFailure ? error.advice : { retry: false })
    try {
      return await withRetries(retry, advise, attempt, options)
    } catch (error) {
      throw error instanceof OpendalFailure ? error.toError(action, this.name, this.#secrets) : error
    }
  }

  #begin({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', `the object store is closed (${this.name})`)
  }
}

const OUT_OF_RANGE = Symbol('out of range')

function isRefusal(error: unknown): boolean {
  return error instanceof CastoreError && error.code === 'storage'
}

function fail(failure: OpendalFailure): never {
  throw failure
}

function absent(failure: OpendalFailure): undefined {
  if (!failure.isNotFound) throw failure
}

function nothing(failure: OpendalFailure): never[] {
  if (!failure.isNotFound) throw failure
  return []
}

function present(failure: OpendalFailure): false {
  if (!failure.isConditionNotMatch) throw failure
  return false
}

/** There is none, or another one by now. */
function changed(failure: OpendalFailure): undefined {
  if (!failure.isNotFound && !failure.isConditionNotMatch) throw failure
}

function absentOrOutOfRange(failure: OpendalFailure): undefined | typeof OUT_OF_RANGE {
  return failure.isOutOfRange ? OUT_OF_RANGE : absent(failure)
}

function buffer(content: Uint8Array): Buffer {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength)
}

function plain(content: Buffer): Uint8Array {
  return new Uint8Array(content.buffer, content.byteOffset, content.byteLength)
}
