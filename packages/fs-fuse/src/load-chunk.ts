import { type B3Digest, blake3, equalBytes } from '@neve/castore-model'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'

/** A chunk: what it hashes to, and its length in bytes. */
export interface ChunkName {
  readonly digest: B3Digest
  readonly size: number
}

/** From so many bytes on, reading several at once gains less than the copy costs that it takes. */
const LARGE = 64 * 1024

/** A reader for chunks in the order in which they were written. Its bytes are compared with digests: no checksum is needed. */
export function chunkReaderOf(engine: EmbeddedStore): ContentReader {
  return engine.contentReader({ checksums: false })
}

/**
 * Reads, expands and verifies a chunk, without waiting.
 *
 * @param reader one of {@link chunkReaderOf}
 * @param out as long as the chunk; of no use when it fails
 * @returns what is wrong with it, if something is
 */
export function loadChunk(
  engine: EmbeddedStore,
  chunk: ChunkName,
  reader: ContentReader,
  out: Uint8Array,
): 'missing' | 'damaged' | undefined {
  const fault = tryLoad(engine, chunk, reader, out)
  // Another process may have written damaged content again, somewhere else: a reader that verifies looks there.
  return fault === 'damaged' ? tryLoad(engine, chunk, engine.contentReader(), out) : fault
}

function tryLoad(
  engine: EmbeddedStore,
  { digest, size }: ChunkName,
  reader: ContentReader,
  out: Uint8Array,
): 'missing' | 'damaged' | undefined {
  try {
    const atHand = reader.peek(digest.bytes)
    if (atHand === undefined && size >= LARGE && reader.readRawSync(digest.bytes, out)) {
      if (equalBytes(blake3.digest(out), digest.bytes)) return undefined
    }
    const stored = atHand ?? reader.readSync(digest.bytes)
    if (stored === undefined) return 'missing'
    if (stored.rawLength !== size) return 'damaged'
    const expanded = stored.compressed ? reader.expand(stored, out) : copied(stored.payload, out)
    return expanded && equalBytes(blake3.digest(out), digest.bytes) ? undefined : 'damaged'
  } finally {
    // A thread that never waits would hold on to the state of the tables that it saw first.
    engine.refresh()
  }
}

/** Into shared memory, `set` copies word by word, with a twentieth of the speed: this is a plain memcpy. */
function copied(bytes: Uint8Array, out: Uint8Array): boolean {
  if (bytes.length !== out.length) return false
  if (out.length > 0) Buffer.from(out.buffer, out.byteOffset, out.length).fill(bytes)
  return true
}
