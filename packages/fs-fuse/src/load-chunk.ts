import { type B3Digest, blake3, equalBytes } from '@neve/castore-model'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'

/** A chunk: what it hashes to, and its length in bytes. */
export interface ChunkName {
  readonly digest: B3Digest
  readonly size: number
}

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
    const stored = reader.readSync(digest.bytes)
    if (stored === undefined) return 'missing'
    if (stored.rawLength !== size) return 'damaged'
    return reader.expand(stored, out) && equalBytes(blake3.digest(out), digest.bytes) ? undefined : 'damaged'
  } finally {
    // A thread that never waits would hold on to the state of the tables that it saw first.
    engine.refresh()
  }
}
