import { createHash } from 'node:crypto'
import { ArchiveError } from '@neve/castore-services/ingest/archive'
import type { NarInfo } from '@neve/nix-compat'
import { plainNar } from '../plain-nar.js'
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
export function downloadedNar(
  answer: HttpAnswer,
  info: NarInfo,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  // Of what was encoded for the way, the file itself was never seen.
  const body = answer.encoded ? answer.body : checkedFile(answer, info)
  return info.compression === 'br' ? unbrotlied(body, answer.url) : plainNar(body, { signal })
}

async function* unbrotlied(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  try {
    yield* plainNar(body, { compression: 'br' })
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error
    throw new UpstreamError(url, 'nar', error.message, error)
  }
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
