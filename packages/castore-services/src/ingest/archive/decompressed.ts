import type { CallOptions } from '../../call-options.js'
import { ByteSource } from './byte-source.js'
import { ArchiveError } from './errors.js'
import { checkedLimits } from './limits.js'

/** Options of {@link decompressed}. */
export interface DecompressedOptions extends CallOptions {
  /** The most bytes to give. Default: 64 GiB. */
  readonly maxSize?: number | undefined
}

/** Gives the plain bytes of compressed ones, all of whose members or frames follow one another. */
type Decoder = (source: ByteSource) => AsyncIterable<Uint8Array>

interface CompressedForm {
  readonly name: string
  readonly magic: (start: Uint8Array) => boolean
  /** Loads what it needs. */
  readonly load: () => Promise<Decoder>
}

/** So many bytes tell the forms apart. */
const PEEKED = 6

const FORMS: readonly CompressedForm[] = [
  {
    name: 'gzip',
    magic: startsWith([0x1f, 0x8b]),
    load: async () => (await import('./gzip.js')).gunzipped,
  },
  {
    name: 'bzip2',
    magic: startsWith([0x42, 0x5a, 0x68]),
    load: async () => (await import('./bzip2.js')).bunzipped,
  },
  {
    name: 'xz',
    magic: startsWith([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
    load: async () => (await import('./xz.js')).unxzed,
  },
  {
    name: 'zstd',
    // A frame, or one that is to be skipped.
    magic: (start) =>
      startsWith([0x28, 0xb5, 0x2f, 0xfd])(start) ||
      ((start[0]! & 0xf0) === 0x50 && startsWith([0x2a, 0x4d, 0x18])(start.subarray(1))),
    load: async () => (await import('./zstd.js')).unzstded,
  },
]

/**
 * The plain bytes of a stream that may be compressed with gzip, bzip2, xz or zstd, as its first bytes tell (spec 06
 * section 5.4); what is none of these comes out as it is. Checksums are checked, and what follows the compressed data
 * must be compressed data too: members, streams and frames may be concatenated.
 *
 * @param source pieces of any length; closed however this ends
 * @returns pieces, each valid until the next is asked for
 * @throws ArchiveError `compressed-data`, `compressed-truncated`, `compression-unsupported`; `limit` for more than
 *   `maxSize` bytes; `source` for what the source throws
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  { signal, maxSize }: DecompressedOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const limit = checkedLimits({ maxSize }).maxSize
  const bytes = new ByteSource(source, signal)
  try {
    const start = await bytes.upTo(PEEKED)
    const form = FORMS.find(({ magic }) => magic(start))
    bytes.unread(start)
    let size = 0
    for await (const piece of form === undefined ? plain(bytes) : (await form.load())(bytes)) {
      size += piece.length
      if (size > limit) {
        throw new ArchiveError(
          'limit',
          `expected at most ${limit} bytes (maxSize) of the archive, got more`,
          {
            limit: 'maxSize',
          },
        )
      }
      yield piece
    }
  } finally {
    await bytes.close()
  }
}

async function* plain(bytes: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const piece = await bytes.some(Number.MAX_SAFE_INTEGER)
    if (piece === undefined) return
    yield piece
  }
}

function startsWith(magic: readonly number[]): (start: Uint8Array) => boolean {
  return (start) => start.length >= magic.length && magic.every((byte, i) => start[i] === byte)
}
