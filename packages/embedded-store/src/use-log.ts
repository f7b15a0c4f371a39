import type { Tables } from './tables.js'

/** A key is recorded once in so long, in milliseconds. */
const COARSE = 3_600_000
/** How long what was used may wait in memory, in milliseconds. */
const WRITE_EVERY = 60_000
/** So many keys go into one transaction, and no more wait in memory than fit in one, or are remembered. */
const TRANSACTION = 2000
const REMEMBERED = 65_536
const LENGTH = 4

/** The entry of table `used` for a time in milliseconds since 1970: the seconds. */
export function encodeUse(time = Date.now()): Uint8Array {
  const value = Buffer.alloc(LENGTH)
  value.writeUInt32LE(Math.floor(time / 1000) % 2 ** 32)
  return value
}

/**
 * When path infos were last used, to the hour. Who uses one does not wait: what was used is collected in memory, and
 * written within a minute, and when the store is closed. A crash, or a full disk, loses no more than that.
 */
export class UseLog {
  readonly #tables: Tables
  readonly #record: ((key: Uint8Array) => void) | undefined
  readonly #remembered = new Set<string>()
  #hour = 0
  #waiting: { readonly key: Uint8Array; readonly time: number }[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined

  /** @param record gets what was used; undefined where nothing is recorded; `write` to have it written to the tables */
  constructor(tables: Tables, record: 'write' | ((key: Uint8Array) => void) | undefined) {
    this.#tables = tables
    this.#record = record === 'write' ? (key) => this.#add(key) : record
  }

  /**
   * Records that a path info is used now.
   *
   * @param key of table `pathInfos`; not kept
   */
  mark(key: Uint8Array): void {
    if (this.#record === undefined) return
    const hour = hourOf(Date.now())
    if (hour !== this.#hour || this.#remembered.size >= REMEMBERED) this.#remembered.clear()
    this.#hour = hour
    const text = textOf(key)
    if (this.#remembered.has(text)) return
    this.#remembered.add(text)
    this.#record(Uint8Array.prototype.slice.call(key))
  }

  /** When a path info was put or used last, in milliseconds since 1970; undefined where nobody knows. */
  last(key: Uint8Array): number | undefined {
    const value = this.#tables.get('used', key)
    if (value?.length !== LENGTH) return undefined
    return new DataView(value.buffer, value.byteOffset).getUint32(0, true) * 1000
  }

  #add(key: Uint8Array): void {
    this.#waiting.push({ key, time: Date.now() })
    if (this.#waiting.length >= TRANSACTION) void this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), WRITE_EVERY).unref()
  }

  /** Writes what waits. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const uses = this.#waiting.splice(0, TRANSACTION)
      try {
        this.#tables.refresh()
        // Another process may have recorded it.
        const due = uses.filter(({ key, time }) => hourOf(this.last(key) ?? 0) < hourOf(time))
        if (due.length === 0) continue
        await this.#tables.transact(due.length, ({ entries }) => {
          // What was collected meanwhile leaves nothing behind.
          for (const { key, time } of due) {
            if (entries.pathInfos?.doesExist(key)) entries.used?.putSync(key, encodeUse(time) as Buffer)
          }
        })
      } catch {
        // Whatever keeps it from being recorded is told to those who write; the next use tries again.
        for (const { key } of uses) this.#remembered.delete(textOf(key))
      }
    }
  }
}

function hourOf(time: number): number {
  return Math.floor(time / COARSE)
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}
