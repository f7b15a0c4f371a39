import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createBrotliDecompress } from 'node:zlib'
import { ArchiveError, decompressed } from '@neve/castore-services/ingest/archive'
import type { NarInfo } from '@neve/nix-compat'
import type { HttpAnswer } from './http-cache.js'
import { UpstreamError } from './upstream-error.js'

/** What narinfo files may say that we can undo; which of the first five it is, the first bytes tell. */
const COMPRESSIONS: ReadonlySet<string> = new Set(['none', 'xz', 'bzip2', 'gzip', 'zstd', 'br'])

/** @throws UpstreamError `compression` */
export function checkCompression(url: string, compression: string): void {
  if (COMPRESSIONS.has(compression)) return
  const known = [...COMPRESSIONS].join(', ')
  throw new UpstreamError(
    url,
    'compression',
    `expected Compression to be one of ${known}, got ${compression}`,
  )
}

/** The plain bytes of a NAR as it was downloaded. Length and hash of the file are checked on the way, if they are known. */
export function plainNar(answer: HttpAnswer, info: NarInfo, signal: AbortSignal): AsyncIterable<Uint8Array> {
  // Of what was encoded for the way, the file itself was never seen.
  const body = answer.encoded ? answer.body : checkedFile(answer, info)
  return info.compression === 'br' ? unbrotlied(body, answer.url) : sniffed(body, signal)
}

async function* sniffed(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    // How long it may get is checked by who reads it.
    yield* decompressed(body, { signal, maxSize: Number.MAX_SAFE_INTEGER })
  } catch (error) {
    throw error instanceof ArchiveError && error.code === 'source' ? error.cause : error
  }
}

async function* unbrotlied(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]()
  const first = await iterator.next()
  const rest = (async function* () {
    if (!first.done) yield first.value
    yield* { [Symbol.asyncIterator]: () => iterator }
  })()
  // A server may have undone it already, as the encoding of the way.
  if (first.done || isNar(first.value)) {
    yield* rest
    return
  }
  try {
    yield* pipeline(Readable.from(rest), createBrotliDecompress(), () => {}) as AsyncIterable<Uint8Array>
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    if (typeof code !== 'string' || !/^(ERR_|Z_)/.test(code)) throw error
    throw new UpstreamError(url, 'nar', `damaged brotli data: ${(error as Error).message}`, error)
  }
}

function isNar(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 21)).toString('latin1') === '\r\0\0\0\0\0\0\0nix-archive-1'
}

async function* checkedFile(
  { url, body }: HttpAnswer,
  { fileHash, fileSize }: NarInfo,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256')
  let size = 0n
  for await (const piece of body) {
    size += BigInt(piece.length)
    if (fileSize !== undefined && size > fileSize) {
      throw new UpstreamError(url, 'file', `expected ${fileSize} bytes (FileSize), got more`)
    }
    if (fileHash !== undefined) hash.update(piece)
    yield piece
  }
  if (fileSize !== undefined && size !== fileSize) {
    throw new UpstreamError(url, 'file', `expected ${fileSize} bytes (FileSize), got ${size}`)
  }
  const actual = fileHash && hash.digest('hex')
  if (fileHash !== undefined && actual !== fileHash.toHex()) {
    throw new UpstreamError(url, 'file', `expected SHA-256 ${fileHash.toHex()} (FileHash), got ${actual}`)
  }
}
