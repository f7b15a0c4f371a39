import type { Batch } from './batch.js'
import type { EntryCondition, TableName } from './entry-record.js'
import { EmbeddedStoreError } from './errors.js'
import type { StoreWriter } from './store-writer.js'

/** What was taken of a run of packed records. */
export interface PackedAppend {
  /** Length of the contents that were appended: those that wait for a commit already are left out. In bytes. */
  readonly rawBytes: number
  /** Length of their records. */
  readonly storedBytes: number
  /** Settles when the run is no longer needed. */
  readonly written: Promise<void>
}

/**
 * The writes of one caller. Nothing of them is promised until {@link commit} resolves; sessions of many callers are
 * published together, in the order in which they were written. A session need not be closed: what was appended without
 * a commit may or may not be published, but never something later without what the same session wrote before it.
 *
 * Once something that a session wrote is lost, each of its writes throws the error, until its {@link commit} has
 * rejected with it. Then the session starts anew.
 */
export class WriteSession {
  readonly #writer: StoreWriter
  readonly #touched = new Set<Batch>()
  #conditions: EntryCondition[] = []

  constructor(writer: StoreWriter) {
    this.#writer = writer
  }

  /**
   * Whether another append of this content is under way, so that it need not be appended again. If so, this session's
   * commit waits for that one too.
   */
  joinPending(key: Uint8Array): boolean {
    const batch = this.#writer.pendingBatch(key)
    if (batch !== undefined) this.#touched.add(batch)
    return batch !== undefined
  }

  /**
   * Appends content (up to `MAX_RECORD_CONTENT` bytes) under its key of 32 bytes. It is copied or compressed before the
   * call returns, but the key is kept: do not modify it. Content that is there already is written anew, and read from
   * its new place once committed: this heals damage.
   *
   * @throws {@link EmbeddedStoreError} `invalid-input`, `closed`, `no-space`, `io`
   */
  appendContent(key: Uint8Array, content: Uint8Array): void {
    this.#checkNothingLost()
    this.#touched.add(this.#writer.appendContent(key, content))
  }

  /**
   * As {@link appendContent}, of content that was compressed already.
   *
   * @param payload a zstd frame that gives `rawLength` bytes and is shorter than these, or the content itself; it is
   *   copied. Nobody checks it
   */
  appendPayload(key: Uint8Array, rawLength: number, payload: Uint8Array): void {
    this.#checkNothingLost()
    this.#touched.add(this.#writer.appendPayload(key, rawLength, payload))
  }

  /**
   * Appends those of the content records at `offsets` of `run`, in ascending order, that do not wait for a commit
   * already; for these, this session's commit waits too. They were framed with `packRecord` and this store's salt. What
   * lies between them is left out. `run` belongs to the store until the promise settles.
   *
   * @throws {@link EmbeddedStoreError} `invalid-input` where no whole content record of this store is, `closed`,
   *   `no-space`, `io`
   */
  appendPacked(run: Uint8Array, offsets: readonly number[]): PackedAppend {
    this.#checkNothingLost()
    return this.#writer.appendPacked(run, offsets, this.#touched)
  }

  /**
   * Sets an entry of a table. Key and value are kept: do not modify them afterwards.
   *
   * @throws {@link EmbeddedStoreError} `invalid-input`, `closed`, `no-space`, `io`
   */
  put(table: TableName, key: Uint8Array, value: Uint8Array): void {
    this.#checkNothingLost()
    this.#touched.add(this.#writer.put({ table, key, value }))
  }

  /**
   * Sets an entry only if it is still what the caller knows it to be, whoever else writes: a process that read it before
   * somebody changed it changes nothing. Then {@link commit} rejects with `conflict`, and all else of the session is
   * published. To try again, read the entry anew, after `EmbeddedStore.refresh`.
   *
   * @param expected the value it must have; undefined when there must be none. Kept, like key and value
   * @param value undefined: the entry is removed
   * @throws {@link EmbeddedStoreError} as {@link put}
   */
  replace(
    table: TableName,
    key: Uint8Array,
    expected: Uint8Array | undefined,
    value: Uint8Array | undefined,
  ): void {
    this.#checkNothingLost()
    const condition: EntryCondition = { expected, violated: false }
    this.#touched.add(this.#writer.put({ table, key, value, condition }))
    this.#conditions.push(condition)
  }

  /** Removes an entry of a table. The key is kept. Errors as {@link put}. */
  remove(table: TableName, key: Uint8Array): void {
    this.#checkNothingLost()
    this.#touched.add(this.#writer.put({ table, key, value: undefined }))
  }

  /** Resolves once little enough waits to be written that more may be appended: await it between large appends. */
  room(): Promise<void> {
    return this.#writer.room()
  }

  /**
   * Resolves when everything that this session wrote is on disk and visible to all processes.
   *
   * @throws {@link EmbeddedStoreError} when any of it was lost (`no-space`, `io`, `closed`): then nothing of what was
   *   not yet committed may be relied on, and the session can be used again from the start; `conflict` when all is
   *   published but what {@link replace} was to set
   */
  async commit(): Promise<void> {
    const batches = [...this.#touched]
    this.#touched.clear()
    const conditions = this.#conditions
    this.#conditions = []
    await this.#writer.commit(batches)
    if (conditions.some(({ violated }) => violated)) {
      throw new EmbeddedStoreError('conflict', 'somebody else has changed an entry since it was read')
    }
  }

  // Otherwise what leans on the lost part could be published without it.
  #checkNothingLost(): void {
    for (const batch of this.#touched) if (batch.lost !== undefined) throw batch.lost
  }
}
