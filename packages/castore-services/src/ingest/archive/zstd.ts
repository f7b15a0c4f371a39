import { createRequire } from 'node:module'
import type * as Zstd from 'zstd-napi/binding.js'
import type { ByteSource } from './byte-source.js'
import { ArchiveError, reasonOf } from './errors.js'

const PIECE = 128 * 1024
/** The most memory that a frame may ask for is 128 MiB: what the zstd command grants, too. */
const WINDOW_LOG_MAX = 27

/** The content of zstd frames that follow one another. */
export async function* unzstded(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  const { DCtx, DParameter } = load()
  const context = new DCtx()
  context.setParameter(DParameter.windowLogMax, WINDOW_LOG_MAX)
  const out = new Uint8Array(PIECE)
  /** What the decoder still waits for; 0 between frames. */
  let wanted = 0
  for (;;) {
    let input = await source.some(PIECE)
    if (input === undefined) break
    // A full piece may leave more behind in the decoder.
    for (let produced = 0; input.length > 0 || (produced === PIECE && wanted > 0); ) {
      let consumed: number
      try {
        ;[wanted, produced, consumed] = context.decompressStream(out, input)
      } catch (cause) {
        throw zstdError(cause, source.offset)
      }
      input = input.subarray(consumed)
      if (produced > 0) yield out.subarray(0, produced)
      else if (consumed === 0) break
    }
  }
  if (wanted > 0) {
    throw new ArchiveError(
      'compressed-truncated',
      `the zstd data ends too early, after ${source.offset} bytes`,
    )
  }
}

function load(): typeof Zstd {
  try {
    return createRequire(import.meta.url)('zstd-napi/binding.js') as typeof Zstd
  } catch (cause) {
    throw new ArchiveError('compression-unsupported', `zstd cannot be loaded: ${reasonOf(cause)}`, { cause })
  }
}

function zstdError(cause: unknown, offset: number): ArchiveError {
  const reason = reasonOf(cause)
  return /memory/i.test(reason)
    ? new ArchiveError('compression-unsupported', 'zstd data that needs more than 128 MiB to read', { cause })
    : new ArchiveError('compressed-data', `damaged zstd data before byte ${offset}: ${reason}`, { cause })
}
