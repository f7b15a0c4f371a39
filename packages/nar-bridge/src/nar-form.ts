import { pipeline, Readable } from 'node:stream'
import { createBrotliDecompress } from 'node:zlib'
import { decompressed } from '@neve/castore-services/ingest/archive'
import { HttpError } from './http-error.js'

/** How a NAR is encoded in a file, in the words of narinfo files. */
export type NarForm = 'none' | 'gzip' | 'zstd' | 'xz' | 'bzip2' | 'br'

/** What Nix calls files of each form. It gives gzip none. */
const FORMS: ReadonlyMap<string, NarForm> = new Map([
  ['.gz', 'gzip'],
  ['.zst', 'zstd'],
  ['.xz', 'xz'],
  ['.bz2', 'bzip2'],
  ['.br', 'br'],
])

const MAGIC: readonly (readonly [NarForm, string])[] = [
  ['none', '\x0d\0\0\0\0\0\0\0nix-archive-1'],
  ['gzip', '\x1f\x8b'],
  ['zstd', '\x28\xb5\x2f\xfd'],
  ['xz', '\xfd7zXZ\0'],
  ['bzip2', 'BZh'],
]
/** So many bytes tell the forms apart. */
const PEEKED = 21

const TYPES: Readonly<Record<NarForm, string>> = {
  none: 'application/x-nix-nar',
  gzip: 'application/gzip',
  zstd: 'application/zstd',
  xz: 'application/x-xz',
  bzip2: 'application/x-bzip2',
  br: 'application/x-brotli',
}

/** The media type of a file. */
export function mediaType(form: NarForm): string {
  return TYPES[form]
}

/**
 * Whether files with such a name are taken.
 *
 * @param suffix with its dot; empty for none
 */
export function isKnownSuffix(suffix: string): boolean {
  return suffix === '' || FORMS.has(suffix)
}

/** A NAR as it was sent. */
export interface SentNar {
  readonly form: NarForm
  /** The file itself, from its first byte on. */
  readonly file: AsyncIterable<Uint8Array>
}

/**
 * Finds out how a file is encoded, by its first bytes, and whether that is what its name says.
 *
 * @param suffix of the name
 * @throws HttpError 400
 */
export async function sentNar(suffix: string, source: AsyncIterable<Uint8Array>): Promise<SentNar> {
  const iterator = source[Symbol.asyncIterator]()
  const head: Buffer[] = []
  for (let length = 0; length < PEEKED; ) {
    const { done, value } = await iterator.next()
    if (done === true) break
    head.push(Buffer.from(value))
    length += value.length
  }
  const start = Buffer.concat(head)
  const sniffed = MAGIC.find(([, magic]) => start.toString('latin1', 0, magic.length) === magic)?.[0]
  const named = FORMS.get(suffix)
  const form = named === 'br' ? named : sniffed
  // A name without a suffix tells nothing.
  if (form === undefined || (named !== undefined && named !== form)) {
    throw new HttpError(400, `expected a NAR${suffix === '' ? '' : ` in the form ${suffix}`}`)
  }
  return { form, file: joined(start, iterator) }
}

async function* joined(
  start: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield start
    yield* { [Symbol.asyncIterator]: () => rest }
  } finally {
    await rest.return?.()
  }
}

/**
 * The archive in a file, in pieces that are valid until the next is asked for.
 *
 * @throws ArchiveError, HttpError 400 for damaged files
 */
export function plainNar({ form, file }: SentNar, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (form === 'none') return file
  if (form === 'br') return unbrotlied(file)
  // How long it may get is checked by who reads it.
  return decompressed(file, { signal, maxSize: Number.MAX_SAFE_INTEGER })
}

async function* unbrotlied(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0
  const counted = async function* () {
    for await (const piece of file) {
      size += piece.length
      yield piece
    }
  }
  const decoder = createBrotliDecompress()
  try {
    yield* pipeline(Readable.from(counted(), { objectMode: false }), decoder, () => {})
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    if (typeof code !== 'string' || !/^(ERR_BROTLI|ERR__ERROR|Z_)/.test(code)) throw error
    throw new HttpError(400, `damaged brotli data: ${(error as Error).message}`, {}, { cause: error })
  }
  // What follows the data, the decoder passes over.
  if (decoder.bytesWritten !== size) throw new HttpError(400, 'expected nothing behind the brotli data')
}
