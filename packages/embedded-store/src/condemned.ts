import type { Database } from 'lmdb'
import { wrapError } from './errors.js'
import { RecordKind } from './record.js'

/** What the garbage collector removes. */
export type Condemnable = 'content' | 'blobs' | 'directories' | 'pathInfos'
export const CONDEMNABLE: readonly Condemnable[] = ['pathInfos', 'directories', 'blobs', 'content']

/** An epoch of the collector in which something was condemned that is not all gone yet. */
export interface CondemnedEpoch {
  readonly epoch: number
  /** When it was, in milliseconds since 1970. */
  readonly time: number
  /** Greater than the numbers of all changes of it that were recorded before. */
  readonly sequence: number
}

/** How far the collector has come. */
export interface CollectorState {
  readonly epoch: number
  /** Changes that are recorded from now on have greater numbers. */
  readonly sequence: number
  readonly condemned: readonly CondemnedEpoch[]
}

type Table = Database<Buffer, Uint8Array>
const STATE = Buffer.from('state')
const ANY = Buffer.from('any')
const NO_STATE: CollectorState = { epoch: 0, sequence: 0, condemned: [] }

/** A condemned key: its kind, then the key; the value is the epoch. */
export function condemnedKey(what: Condemnable, key: Uint8Array): Buffer {
  const name = Buffer.allocUnsafe(1 + key.length)
  name[0] = RecordKind[what]
  name.set(key, 1)
  return name
}

function read<T>(reading: () => T): T {
  try {
    return reading()
  } catch (error) {
    throw wrapError(error, 'read what is condemned')
  }
}

/** What the collector has found to be garbage and will remove, unless somebody writes it again. */
export class Condemned {
  // Both are missing in a store that was made before there was a collector, and is open for reading.
  readonly #table: Table | undefined
  readonly #state: Table | undefined

  constructor(table: Table | undefined, state: Table | undefined) {
    this.#table = table
    this.#state = state
  }

  /** Whether anything may be condemned: if not, nobody need look. */
  get any(): boolean {
    return read(() => this.#state?.getBinaryFast(ANY)) !== undefined
  }

  epochOf(what: Condemnable, key: Uint8Array): number | undefined {
    const value = read(() => this.#table?.getBinary(condemnedKey(what, key)))
    return value === undefined ? undefined : value.readUInt32LE(0)
  }

  *entries(): Generator<{ readonly what: Condemnable; readonly key: Uint8Array; readonly epoch: number }> {
    for (const { key, value } of this.#table?.getRange({ snapshot: false }) ?? []) {
      const what = CONDEMNABLE.find((one) => RecordKind[one] === key[0])
      if (what !== undefined) yield { what, key: key.subarray(1), epoch: Buffer.from(value).readUInt32LE(0) }
    }
  }

  state(): CollectorState {
    const value = read(() => this.#state?.getBinary(STATE))
    return value === undefined ? NO_STATE : (JSON.parse(value.toString()) as CollectorState)
  }

  // What follows is called within a transaction, and becomes part of it.

  /** Lifts the condemnation of what is written again, if there is one. */
  lift(what: Condemnable, key: Uint8Array): void {
    void this.#table?.remove(condemnedKey(what, key))
  }

  /** Condemns, unless it is condemned already. */
  add(what: Condemnable, key: Uint8Array, epoch: number): void {
    const name = condemnedKey(what, key)
    if (this.#table === undefined || this.#table.doesExist(name)) return
    const value = Buffer.alloc(4)
    value.writeUInt32LE(epoch)
    this.#table.putSync(name, value)
    if (!this.any) this.#state?.putSync(ANY, Buffer.alloc(1))
  }

  /** Says that nothing is condemned. */
  setNone(): void {
    this.#state?.removeSync(ANY)
  }

  removeSync(what: Condemnable, key: Uint8Array): void {
    this.#table?.removeSync(condemnedKey(what, key))
  }

  setState(state: CollectorState): void {
    this.#state?.putSync(STATE, Buffer.from(JSON.stringify(state)))
  }
}
