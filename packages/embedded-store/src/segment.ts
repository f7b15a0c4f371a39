import { closeSync, fstatSync, openSync, readdirSync, readSync, read as readWithCallback } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readU32, writeU32 } from './record.js'

const readAsync = promisify(readWithCallback)

/** Length of a segment file's own header in bytes. */
export const SEGMENT_HEADER = 16
const MAGIC = Buffer.from('NEVESEG1', 'latin1')

/** The name of a segment file: its number, ten digits. */
export function segmentName(id: number): string {
  return `${String(id).padStart(10, '0')}.seg`
}

/** The number in a segment file's name, or undefined for another file. */
export function segmentId(name: string): number | undefined {
  const match = /^(\d{10})\.seg$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** The numbers of the segment files in a folder, in order. */
export function segmentIds(folder: string): number[] {
  return readdirSync(folder)
    .map(segmentId)
    .filter((id) => id !== undefined)
    .sort((a, b) => a - b)
}

export function segmentHeader(id: number, salt: number): Uint8Array {
  const header = new Uint8Array(SEGMENT_HEADER)
  header.set(MAGIC)
  writeU32(header, 8, id)
  writeU32(header, 12, salt)
  return header
}

export function isSegmentHeader(bytes: Uint8Array, id: number, salt: number): boolean {
  return MAGIC.equals(bytes.subarray(0, 8)) && readU32(bytes, 8) === id && readU32(bytes, 12) === salt
}

const MAX_OPEN = 128
/** How often open files are looked at, in milliseconds: one that was removed takes its space until it is closed. */
const LOOK_EVERY = 10_000

interface OpenFile {
  readonly descriptor: number
  /** How many reads are under way: a descriptor that is closed under a read may be another file's by then. */
  reads: number
  unwanted: boolean
}

/** The segment files that are open for reading, the least recently used closed first. */
export class SegmentFiles {
  readonly #folder: string
  readonly #open = new Map<number, OpenFile>()
  #looking: NodeJS.Timeout | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Reads up to `length` bytes at `offset` into `out`; resolves to how many there were. Throws what `open(2)` and
   * `read(2)` throw.
   */
  async read(id: number, out: Uint8Array, length: number, offset: number): Promise<number> {
    const file = this.#file(id)
    file.reads++
    try {
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await readAsync(file.descriptor, out, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return filled
    } finally {
      file.reads--
      if (file.unwanted && file.reads === 0) closeSync(file.descriptor)
    }
  }

  /** As {@link read}, without leaving the calling thread. */
  readSync(id: number, out: Uint8Array, length: number, offset: number): number {
    const { descriptor } = this.#file(id)
    let filled = 0
    while (filled < length) {
      const read = readSync(descriptor, out, filled, length - filled, offset + filled)
      if (read === 0) break
      filled += read
    }
    return filled
  }

  /** Closes the files that a compaction has removed. */
  dropRemoved(): void {
    for (const [id, file] of this.#open) {
      if (fstatSync(file.descriptor).nlink > 0) continue
      this.#open.delete(id)
      dismiss(file)
    }
  }

  close(): void {
    clearInterval(this.#looking)
    for (const file of this.#open.values()) dismiss(file)
    this.#open.clear()
  }

  #file(id: number): OpenFile {
    let file = this.#open.get(id)
    // A map keeps the order of insertion: taking an entry out and in again makes it the most recently used.
    if (file !== undefined) this.#open.delete(id)
    else file = { descriptor: openSync(join(this.#folder, segmentName(id)), 'r'), reads: 0, unwanted: false }
    this.#open.set(id, file)
    this.#looking ??= setInterval(() => this.dropRemoved(), LOOK_EVERY).unref()
    if (this.#open.size > MAX_OPEN) {
      const [oldest, unused] = this.#open.entries().next().value as [number, OpenFile]
      this.#open.delete(oldest)
      dismiss(unused)
    }
    return file
  }
}

function dismiss(file: OpenFile): void {
  file.unwanted = true
  if (file.reads === 0) closeSync(file.descriptor)
}
