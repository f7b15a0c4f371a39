import type { B3Digest } from '@neve/castore-model'
import type { BlobWriter } from '@neve/castore-services'
import type { WriteSession } from '@neve/embedded-store'
import type { NarFileName } from '@neve/nix-compat'
import { ingestNar, Sha256Stream } from '@neve/store-pathinfo'
import type { BridgeStore } from './bridge-options.js'
import type { BridgeRequest } from './exchange.js'
import { HttpError } from './http-error.js'
import { isKnownSuffix, plainNar, sentNar } from './nar-form.js'
import type { UploadedNar } from './upload-record.js'

/** Options of {@link receiveNar}. */
export interface ReceiveNarOptions {
  /** The largest NAR, in bytes, whatever it is compressed to. */
  readonly maxNarSize: bigint
  /** Contents are written to it, and durable once the caller has committed it. Default: they are in the end. */
  readonly session?: WriteSession | undefined
}

/**
 * Takes a NAR that a client puts, and checks it: the file against the hash in its name, the archive against the format.
 *
 * @param name of the file, and what it says
 * @returns once the contents are stored
 * @throws HttpError 400, 415; NarError, ArchiveError, StoreError for what is wrong with the archive
 */
export async function receiveNar(
  store: BridgeStore,
  name: string,
  { digest, suffix }: NarFileName,
  request: BridgeRequest,
  { maxNarSize, session }: ReceiveNarOptions,
): Promise<UploadedNar> {
  const { signal } = request
  if (!isKnownSuffix(suffix)) {
    throw new HttpError(415, `expected a NAR as it is, or .xz, .zst, .bz2, .gz or .br, got ${suffix}`)
  }
  const sent = await sentNar(suffix, request.body)
  // What is not compressed is the NAR, which is hashed in any case.
  const isNar = sent.form === 'none'
  using file = new SentFile(isNar ? undefined : digest)
  // There is no cheap way to write bzip2, and clients will ask for the file again.
  const kept = sent.form === 'bzip2' ? new KeptFile(await store.blobs.openWrite({ signal })) : undefined
  try {
    const source = file.checked(kept === undefined ? sent.file : kept.copied(sent.file))
    const archive = file.whole(plainNar({ ...sent, file: source }, signal))
    const expected = isNar ? digest : undefined
    const { node, narSize, narSha256 } = await ingestNar(store, archive, {
      ...{ signal, session, maxSize: maxNarSize, narSha256: expected },
    })
    return {
      ...{ name, form: sent.form, fileSize: file.size, fileHash: digest },
      ...{ node, narSize, narSha256, file: await kept?.close() },
    }
  } finally {
    await kept?.abort()
  }
}

/** Counts and hashes a file on its way. */
class SentFile implements Disposable {
  readonly #expected: Uint8Array | undefined
  readonly #hash: Sha256Stream | undefined
  size = 0n
  #ended = false

  /** @param expected its SHA-256. Default: any, and nothing is hashed */
  constructor(expected: Uint8Array | undefined) {
    this.#expected = expected
    this.#hash = expected && new Sha256Stream()
  }

  [Symbol.dispose](): void {
    this.#hash?.discard()
  }

  async *checked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      this.size += BigInt(piece.length)
      const room = this.#hash?.update(piece)
      if (room !== undefined) await room
      yield piece
    }
    this.#ended = true
    if (this.#expected === undefined || this.#hash === undefined) return
    const actual = Buffer.from(await this.#hash.digest())
    if (Buffer.compare(actual, this.#expected) === 0) return
    const expected = Buffer.from(this.#expected).toString('hex')
    throw new HttpError(400, `expected SHA-256 ${expected} as in the name, got ${actual.toString('hex')}`)
  }

  /** Refuses an archive after which the file goes on: its hash was not seen then. */
  async *whole(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    yield* archive
    if (!this.#ended) throw new HttpError(400, 'expected the end of the file behind the compressed data')
  }
}

/** Stores a file as it comes. */
class KeptFile {
  readonly #writer: BlobWriter

  constructor(writer: BlobWriter) {
    this.#writer = writer
  }

  async *copied(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      await this.#writer.write(piece)
      yield piece
    }
  }

  close(): Promise<B3Digest> {
    return this.#writer.close()
  }

  abort(): Promise<void> {
    return this.#writer.abort()
  }
}
