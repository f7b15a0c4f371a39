import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { ByteSource } from './byte-source.js'
import { ArchiveError, reasonOf } from './errors.js'

const PIECE = 128 * 1024

/** The content of gzip members that follow one another; zeros may fill the end. */
export async function* gunzipped(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  let failure: { readonly error: unknown } | undefined
  const input = Readable.from(
    (async function* () {
      for (;;) {
        let piece: Uint8Array | undefined
        try {
          piece = await source.some(PIECE)
        } catch (error) {
          failure = { error }
          throw error
        }
        if (piece === undefined) return
        // What the decoder complains of is thrown in here: it is none of the source's.
        yield piece
      }
    })(),
  )
  const gunzip = createGunzip({ chunkSize: PIECE })
  pipeline(input, gunzip, () => {})
  try {
    for await (const piece of gunzip) yield piece
  } catch (cause) {
    if (failure !== undefined) throw failure.error
    throw gzipError(cause, source.offset)
  } finally {
    input.destroy()
    gunzip.destroy()
  }
}

function gzipError(cause: unknown, offset: number): ArchiveError {
  const truncated = cause instanceof Error && 'code' in cause && cause.code === 'Z_BUF_ERROR'
  return truncated
    ? new ArchiveError('compressed-truncated', `the gzip data ends too early, after ${offset} bytes`, {
        cause,
      })
    : new ArchiveError('compressed-data', `damaged gzip data before byte ${offset}: ${reasonOf(cause)}`, {
        cause,
      })
}
