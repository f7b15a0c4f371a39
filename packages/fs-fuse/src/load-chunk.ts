import { type B3Digest, blake3, equalBytes } from '@neve/castore-model'
import { DataLossError } from '@neve/castore-services'
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
 * @param out as long as the chunk; what is in it when this throws is not to be used
 * @throws DataLossError when it is damaged or missing
 */
export function loadChunk(
  engine: EmbeddedStore,
  chunk: ChunkName,
  reader: ContentReader,
  out: Uint8Array,
): void {
  // Another process may have written damaged content again, somewhere else: a reader that verifies looks there.
  if (!loads(engine, chunk, reader, out) && !loads(engine, chunk, engine.contentReader(), out)) {
    throw loss(engine, chunk.digest, 'is damaged')
  }
}

function loads(
  engine: EmbeddedStore,
  { digest, size }: ChunkName,
  reader: ContentReader,
  out: Uint8Array,
): boolean {
  try {
    const stored = reader.peek(digest.bytes) ?? reader.readSync(digest.bytes)
    if (stored === undefined) throw loss(engine, digest, 'is missing')
    if (stored.rawLength !== size) return false
    const expanded = stored.compressed ? reader.expand(stored, out) : copied(stored.payload, out)
    return expanded && equalBytes(blake3.digest(out), digest.bytes)
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

function loss(engine: EmbeddedStore, digest: B3Digest, what: string): DataLossError {
  return new DataLossError(digest, `embedded:${engine.path}`, `chunk ${digest} ${what}`)
}
