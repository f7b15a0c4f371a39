import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { readU32, writeU32 } from './record.js'

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

/** The segment files that are open for reading, the least recently used closed first. */
export class SegmentFiles {
  readonly #folder: string
  readonly #open = new Map<number, number>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The descriptor of a segment. Throws what `open(2)` throws. */
  descriptor(id: number): number {
    let descriptor = this.#open.get(id)
    if (descriptor !== undefined) return descriptor
    descriptor = openSync(join(this.#folder, segmentName(id)), 'r')
    this.#open.set(id, descriptor)
    if (this.#open.size > MAX_OPEN) {
      const [oldest, unused] = this.#open.entries().next().value as [number, number]
      this.#open.delete(oldest)
      closeSync(unused)
    }
    return descriptor
  }

  /** Reads up to `length` bytes at `offset` into `out`; returns how many there were. */
  read(id: number, out: Uint8Array, length: number, offset: number): number {
    const descriptor = this.descriptor(id)
    let filled = 0
    while (filled < length) {
      const read = readSync(descriptor, out, filled, length - filled, offset + filled)
      if (read === 0) break
      filled += read
    }
    return filled
  }

  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor)
    this.#open.clear()
  }
}
