import { FILE_ELEMENT_ROOM, writeFileElement } from '@neve/castore-model'
import { ENTRY_ROOM, type FileTimes, writeEntry } from './file-cache.js'
import type { FileFailure, ReadTreeResult } from './file-tasks-protocol.js'

/**
 * The results of one task in flat arrays: thousands of small objects are slow to make, and slow to send between threads.
 *
 * Files of one folder that follow each other are a run, which has eight numbers and all that the folder needs of them,
 * ready-made. A large file is a run of its own.
 */
const PER_RUN = 8

const LARGE = 1
const EXECUTABLE = 2
const READ = 4

/** Files of one folder. */
export interface FileRun {
  readonly files: number
  /** Bytes of content. */
  readonly bytes: number
  /** Their elements in the encoding of the folder, one after the other; of a large file, its name. */
  readonly elements: Uint8Array
  /** Entries in the record of the folder, of so many of them. */
  readonly entries: Uint8Array
  readonly entryCount: number
  /** The device that the files of the record are on. */
  readonly device: number
  /** Whether any of the record was read, and not taken from the last record. */
  readonly read: boolean
  /** Of a large file: whether it is executable, and where in the stream its content belongs. */
  readonly large: { readonly executable: boolean; readonly at: number } | undefined
}

/** Collects the results of tasks, one after the other. */
export class TreeResultsWriter {
  #runs: number[] = []
  #contents: number[] = []
  readonly #elements = new Bytes()
  readonly #entries = new Bytes()
  readonly #digests = new Bytes()
  #files = 0
  #bytes = 0
  #device = 0
  #read = false
  #elementsAt = 0
  #entriesAt = 0
  #entryCount = 0

  /** A small file. */
  file(name: Uint8Array, digest: Uint8Array, size: number, executable: boolean): void {
    this.#files++
    this.#bytes += size
    const elements = this.#elements
    const room = elements.reserve(name.length + FILE_ELEMENT_ROOM)
    elements.length = writeFileElement(room, elements.length, name, digest, size, executable)
  }

  /** The same file's entry in the record of its folder. Files on a second device have none. */
  entry(
    name: Uint8Array,
    digest: Uint8Array,
    size: number,
    executable: boolean,
    seen: FileTimes & { readonly device: number },
  ): void {
    if (!this.#takesEntry(seen.device)) return
    this.#read = true
    const entries = this.#entries
    const room = entries.reserve(name.length + ENTRY_ROOM)
    entries.length = writeEntry(room, entries.length, name, size, executable, digest, seen)
  }

  /** The entry of a file that was not read: that of the last record. */
  sameEntry(entry: Uint8Array, device: number): void {
    if (this.#takesEntry(device)) this.#entries.append(entry)
  }

  #takesEntry(device: number): boolean {
    if (this.#entryCount === 0) this.#device = device
    else if (this.#device !== device) return false
    this.#entryCount++
    return true
  }

  large(name: Uint8Array, size: number, executable: boolean, at: number): void {
    this.endRun()
    this.#elements.append(name)
    const flags = LARGE | (executable ? EXECUTABLE : 0)
    this.#runs.push(1, size, name.length, 0, 0, 0, flags, at)
    this.#elementsAt = this.#elements.length
  }

  /** The files after this are of another folder. */
  endRun(): void {
    if (this.#files === 0) return
    const elements = this.#elements.length - this.#elementsAt
    const entries = this.#entries.length - this.#entriesAt
    const flags = this.#read ? READ : 0
    this.#runs.push(this.#files, this.#bytes, elements, entries, this.#entryCount, this.#device, flags, 0)
    this.#files = 0
    this.#bytes = 0
    this.#entryCount = 0
    this.#read = false
    this.#elementsAt = this.#elements.length
    this.#entriesAt = this.#entries.length
  }

  /** A content that lies in the slot. */
  content(digest: Uint8Array, size: number, rawOffset: number): void {
    this.#contents.push(size, rawOffset)
    this.#digests.append(digest)
  }

  /** The results; begins anew. */
  finish(steps: number, streamed: number, failure?: FileFailure): ReadTreeResult {
    this.endRun()
    this.#elementsAt = 0
    this.#entriesAt = 0
    const runs = Float64Array.from(this.#runs)
    const contents = Float64Array.from(this.#contents)
    this.#runs = []
    this.#contents = []
    return {
      steps,
      runs,
      elements: this.#elements.take(),
      entries: this.#entries.take(),
      contents,
      digests: this.#digests.take(),
      streamed,
      failure,
    }
  }
}

/** The runs, in order. */
export function* runsOf({ runs, elements, entries }: ReadTreeResult): Generator<FileRun, void, undefined> {
  let e = 0
  let r = 0
  for (let n = 0; n < runs.length; n += PER_RUN) {
    const flags = runs[n + 6]!
    const large = { executable: (flags & EXECUTABLE) !== 0, at: runs[n + 7]! }
    yield {
      files: runs[n]!,
      bytes: runs[n + 1]!,
      elements: elements.subarray(e, e + runs[n + 2]!),
      entries: entries.subarray(r, r + runs[n + 3]!),
      entryCount: runs[n + 4]!,
      device: runs[n + 5]!,
      read: (flags & READ) !== 0,
      large: (flags & LARGE) !== 0 ? large : undefined,
    }
    e += runs[n + 2]!
    r += runs[n + 3]!
  }
}

class Bytes {
  #room = Buffer.alloc(16 * 1024)
  length = 0

  /** The array, with so much room behind what is in it. */
  reserve(length: number): Buffer {
    const end = this.length + length
    if (end > this.#room.length) {
      const larger = Buffer.alloc(2 * end)
      larger.set(this.#room.subarray(0, this.length))
      this.#room = larger
    }
    return this.#room
  }

  append(bytes: Uint8Array): void {
    const room = this.reserve(bytes.length)
    // A loop is quicker than a call for what has a hundred bytes.
    for (let i = 0; i < bytes.length; i++) room[this.length++] = bytes[i]!
  }

  take(): Uint8Array {
    const taken = Uint8Array.prototype.slice.call(this.#room, 0, this.length)
    this.length = 0
    return taken
  }
}
