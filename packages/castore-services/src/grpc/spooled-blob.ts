import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { B3Digest, blake3 } from '@neve/castore-model'
import { MemoryBlobReader } from '../blob/memory-reader.js'
import { readableLength } from '../blob/read-range.js'
import type { BlobReader } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { BlobTooLargeError, CastoreError, DataLossError } from '../errors.js'

/** What {@link spool} needs to know. */
export interface SpoolInit {
  readonly digest: B3Digest
  /** Where the bytes come from, for messages. */
  readonly backend: string
  /** The most bytes to hold in memory; more go to a file. */
  readonly threshold: number
  /** The most bytes to take at all. */
  readonly limit: number
}

/**
 * Takes a stream in until its end, checks it against a digest, and gives a reader for it: from memory, or, past a
 * threshold, from a file in the folder for temporary files that nobody else can open.
 *
 * @param source its pieces may be views of larger buffers
 * @throws BlobTooLargeError; DataLossError when the bytes are not those of the digest; CastoreError `storage` when the file cannot be written
 */
export async function spool(
  source: AsyncIterable<Uint8Array>,
  { digest, backend, threshold, limit }: SpoolInit,
): Promise<BlobReader> {
  const hasher = blake3.hasher()
  const pieces: Uint8Array[] = []
  let held = 0
  let total = 0
  let file: SpoolFile | undefined
  try {
    for await (const piece of source) {
      total += piece.length
      if (total > limit) throw new BlobTooLargeError(digest, BigInt(total), limit)
      hasher.update(piece)
      pieces.push(piece)
      held += piece.length
      if (held <= threshold && file === undefined) continue
      file ??= await SpoolFile.create()
      await file.append(pieces.splice(0))
    }
    expectDigest(B3Digest.adopt(hasher.digest()), digest, backend)
  } catch (error) {
    await file?.close()
    throw error
  }
  return file?.reader() ?? new MemoryBlobReader(concatenated(pieces, held))
}

/** @throws DataLossError unless both are the same */
export function expectDigest(actual: B3Digest, expected: B3Digest, backend: string): void {
  if (actual.equals(expected)) return
  throw new DataLossError(
    expected,
    backend,
    `contents invalid: requested blob ${expected}, but got one of digest ${actual}`,
  )
}

/** One array of what came in pieces; the piece itself where there is one. */
export function concatenated(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

class SpoolFile {
  #size = 0

  private constructor(readonly handle: FileHandle) {}

  static async create(): Promise<SpoolFile> {
    const path = join(tmpdir(), `neve-spool-${randomBytes(12).toString('hex')}`)
    try {
      const handle = await open(path, 'wx+', 0o600)
      // From now on the file lives as long as the handle, whatever becomes of this process.
      await unlink(path)
      return new SpoolFile(handle)
    } catch (error) {
      throw spoolError('create a temporary file', error)
    }
  }

  async append(pieces: Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      let done = 0
      try {
        while (done < piece.length) {
          const { bytesWritten } = await this.handle.write(
            piece,
            done,
            piece.length - done,
            this.#size + done,
          )
          done += bytesWritten
        }
      } catch (error) {
        throw spoolError('write to a temporary file', error)
      }
      this.#size += piece.length
    }
  }

  async close(): Promise<void> {
    await this.handle.close().catch(() => {})
  }

  reader(): BlobReader {
    return new SpooledBlobReader(this.handle, BigInt(this.#size))
  }
}

/** Reads a blob that was checked, from a file that nobody else can open. */
class SpooledBlobReader implements BlobReader {
  #handle: FileHandle | undefined

  constructor(
    handle: FileHandle,
    readonly size: bigint,
  ) {
    this.#handle = handle
  }

  async readAt(offset: bigint, length: number, { signal }: CallOptions = {}): Promise<Uint8Array> {
    signal?.throwIfAborted()
    const handle = this.#handle
    if (handle === undefined) throw new CastoreError('closed', 'the blob reader is already closed')
    const bytes = new Uint8Array(readableLength(this.size, offset, length))
    let done = 0
    while (done < bytes.length) {
      let bytesRead: number
      try {
        ;({ bytesRead } = await handle.read(bytes, done, bytes.length - done, Number(offset) + done))
      } catch (error) {
        throw spoolError('read from a temporary file', error)
      }
      if (bytesRead === 0)
        throw new CastoreError('storage', `temporary file ended early, at ${Number(offset) + done}`)
      done += bytesRead
    }
    signal?.throwIfAborted()
    return bytes
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function spoolError(what: string, cause: unknown): CastoreError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new CastoreError('storage', `unable to ${what}: ${text}`, { cause })
}
