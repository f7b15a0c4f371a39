import type { ChunkResult, FileFailure, ReadTreeResult } from './file-tasks-protocol.js'

/**
 * The results of one task in flat arrays: thousands of small objects are slow to make, and slow to send between threads.
 *
 * Files of one folder that follow each other are a run, which has eight numbers and all that the folder needs of them,
 * ready-made. A large file is a run of its own. Contents that lie in the slot have three numbers and a digest, each of
 * their chunks three numbers and a digest; a single chunk has the digest of its content.
 */
const PER_RUN = 8
const PER_CONTENT = 3
const PER_CHUNK = 3

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

/** The content of a file that lies in the slot. */
export interface FileContent {
  readonly digest: Uint8Array
  readonly size: number
  /** Offset in the slot's raw part. */
  readonly rawOffset: number
  readonly chunks: readonly ChunkResult[]
}

/** Collects the results of tasks, one after the other. */
export class TreeResultsWriter {
  readonly #runs = new Numbers()
  readonly #contents = new Numbers()
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

  /** A small file: its element. */
  file(element: Uint8Array, size: number): void {
    this.#files++
    this.#bytes += size
    this.#elements.append(element)
  }

  /** The same file's entry in the record of its folder. Files on a second device have none. */
  entry(entry: Uint8Array, device: number, read: boolean): void {
    if (read) this.#read = true
    if (this.#entryCount === 0) this.#device = device
    else if (this.#device !== device) return
    this.#entryCount++
    this.#entries.append(entry)
  }

  large(name: Uint8Array, size: number, executable: boolean, at: number): void {
    this.endRun()
    this.#elements.append(name)
    const flags = LARGE | (executable ? EXECUTABLE : 0)
    this.#runs.append(1, size, name.length, 0, 0, 0, flags, at)
    this.#elementsAt = this.#elements.length
  }

  /** The files after this are of another folder. */
  endRun(): void {
    if (this.#files === 0) return
    const elements = this.#elements.length - this.#elementsAt
    const entries = this.#entries.length - this.#entriesAt
    const flags = this.#read ? READ : 0
    this.#runs.append(this.#files, this.#bytes, elements, entries, this.#entryCount, this.#device, flags, 0)
    this.#files = 0
    this.#bytes = 0
    this.#entryCount = 0
    this.#read = false
    this.#elementsAt = this.#elements.length
    this.#entriesAt = this.#entries.length
  }

  content(digest: Uint8Array, size: number, rawOffset: number, chunks: readonly ChunkResult[]): void {
    this.#contents.append(size, rawOffset, chunks.length)
    this.#digests.append(digest)
    for (const chunk of chunks) {
      this.#contents.append(chunk.size, chunk.recordOffset, chunk.storedLength)
      if (chunks.length > 1) this.#digests.append(chunk.digest)
    }
  }

  /** The results; begins anew. */
  finish(steps: number, streamed: number, failure?: FileFailure): ReadTreeResult {
    this.endRun()
    this.#elementsAt = 0
    this.#entriesAt = 0
    return {
      steps,
      runs: this.#runs.take(),
      elements: this.#elements.take(),
      entries: this.#entries.take(),
      contents: this.#contents.take(),
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

/** The contents, in order. Digests are views of the result. */
export function* contentsOf({ contents, digests }: ReadTreeResult): Generator<FileContent, void, undefined> {
  let d = 0
  const digest = (): Uint8Array => {
    d += 32
    return digests.subarray(d - 32, d)
  }
  for (let n = 0; n < contents.length; ) {
    const content = { digest: digest(), size: contents[n]!, rawOffset: contents[n + 1]! }
    const count = contents[n + 2]!
    n += PER_CONTENT
    const chunks: ChunkResult[] = []
    for (let i = 0; i < count; i++, n += PER_CHUNK) {
      chunks.push({
        digest: count === 1 ? content.digest : digest(),
        size: contents[n]!,
        recordOffset: contents[n + 1]!,
        storedLength: contents[n + 2]!,
      })
    }
    yield { ...content, chunks }
  }
}

/** Whether the contents at hand were cut into several chunks, and where the records of all chunks are. */
export function recordsOf({ contents }: ReadTreeResult): {
  readonly offsets: number[]
  readonly lists: boolean
} {
  const offsets: number[] = []
  let lists = false
  for (let n = 0; n < contents.length; ) {
    const count = contents[n + 2]!
    if (count > 1) lists = true
    n += PER_CONTENT
    for (let i = 0; i < count; i++, n += PER_CHUNK) {
      if (contents[n + 1]! >= 0) offsets.push(contents[n + 1]!)
    }
  }
  return { offsets, lists }
}

class Numbers {
  #room = new Float64Array(1024)
  #length = 0

  append(...numbers: number[]): void {
    if (this.#length + numbers.length > this.#room.length) {
      const larger = new Float64Array(this.#room.length * 2)
      larger.set(this.#room)
      this.#room = larger
    }
    for (const number of numbers) this.#room[this.#length++] = number
  }

  take(): Float64Array {
    const taken = this.#room.slice(0, this.#length)
    this.#length = 0
    return taken
  }
}

class Bytes {
  #room = new Uint8Array(16 * 1024)
  length = 0

  append(bytes: Uint8Array): void {
    const end = this.length + bytes.length
    if (end > this.#room.length) {
      const larger = new Uint8Array(2 * end)
      larger.set(this.#room.subarray(0, this.length))
      this.#room = larger
    }
    // A loop is quicker than a call for what has a hundred bytes.
    for (let i = 0, at = this.length; at < end; ) this.#room[at++] = bytes[i++]!
    this.length = end
  }

  take(): Uint8Array {
    const taken = this.#room.slice(0, this.length)
    this.length = 0
    return taken
  }
}
