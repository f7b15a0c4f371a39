import { pipeline, Readable } from 'node:stream'
import { createBrotliDecompress } from 'node:zlib'
import type { CallOptions } from '@neve/castore-services'

/** Options of {@link plainNar}. */
export interface PlainNarOptions extends CallOptions {
  /** What the bytes are compressed with, where they cannot tell it themselves. Default: what their beginning tells. */
  readonly compression?: 'br' | undefined
}

/**
 * The plain bytes of a NAR that may be compressed: with gzip, bzip2, xz or zstd, as its first bytes tell (spec 07
 * section 13.10), or with brotli, which has to be said. However much comes out, little is held at a time; how long it
 * may get is checked by who reads it.
 *
 * @param source pieces of any length; closed however this ends
 * @returns pieces, each valid until the next is asked for
 * @throws ArchiveError `compressed-data`, `compressed-truncated`, `compression-unsupported`; what the source throws
 */
export async function* plainNar(
  source: AsyncIterable<Uint8Array>,
  { compression, signal }: PlainNarOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === 'br') {
    yield* unbrotlied(source)
    return
  }
  // What decompresses is loaded only by what needs it.
  const { ArchiveError, decompressed } = await import('@neve/castore-services/ingest/archive')
  try {
    yield* decompressed(source, { signal, maxSize: Number.MAX_SAFE_INTEGER })
  } catch (error) {
    throw error instanceof ArchiveError && error.code === 'source' ? error.cause : error
  }
}

async function* unbrotlied(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
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
    const { ArchiveError } = await import('@neve/castore-services/ingest/archive')
    const cut = code === 'Z_BUF_ERROR'
    throw new ArchiveError(
      cut ? 'compressed-truncated' : 'compressed-data',
      `${cut ? 'truncated' : 'damaged'} brotli data: ${(error as Error).message}`,
      { cause: error },
    )
  }
}

function isNar(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 21)).toString('latin1') === '\r\0\0\0\0\0\0\0nix-archive-1'
}
