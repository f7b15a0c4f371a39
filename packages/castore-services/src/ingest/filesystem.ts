import { resolve } from 'node:path'
import type { DirectorySizes, Node } from '@neve/castore-model'
import type { WriteSession } from '@neve/embedded-store'
import type { BlobService } from '../blob-service.js'
import type { DirectoryService } from '../directory-service.js'
import type { TreeTokens } from './file-tasks-protocol.js'
import type { FileWorkers } from './file-workers.js'
import { Ingestion } from './ingestion.js'

export type { TreeTokens } from './file-tasks-protocol.js'
export { FileWorkers } from './file-workers.js'
export { displayPath, IngestPathError, type IngestPathErrorCode } from './filesystem-error.js'
export { isRecorded } from './folder-records.js'

import { IngestPathError } from './filesystem-error.js'

/** Is handed the tree as one stream, in the same pass. */
export interface TreeSink {
  readonly tokens: TreeTokens
  /** Is called when much is to come: what takes a while to start may be started. */
  start?(): void
  /**
   * The next bytes of the stream.
   *
   * @returns when they are no longer needed: till then they stay as they are. Should it reject, the ingestion fails
   */
  write(bytes: Uint8Array): Promise<void>
}

/** How far an ingestion has come. */
export interface IngestProgress {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of file content. */
  readonly bytes: number
}

/** Options of {@link ingestPath}. */
export interface IngestPathOptions {
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  readonly signal?: AbortSignal | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined
  /** Every file is read for it, even if it is known from an earlier import. */
  readonly sink?: TreeSink | undefined
  /** Threads to share between ingestions into the same store. Default: threads of its own. */
  readonly workers?: FileWorkers | undefined
  /**
   * Where an embedded store is written to: everything is appended to this session, and the caller commits. Default: a
   * session of its own, committed before the promise resolves.
   */
  readonly session?: WriteSession | undefined
  /** Whether unchanged files may be taken from the record of their last import. Default: true; needs an embedded store. */
  readonly fileCache?: boolean | undefined
}

/** What was ingested. */
export interface IngestPathResult extends IngestProgress {
  /** The root. */
  readonly node: Node
  /** Bytes of file content that were not in the store before; into any but an embedded store, all that it was handed. */
  readonly newBytes: number
  /** Bytes that were written for them. */
  readonly storedBytes: number
}

/** The services that {@link ingestPath} writes to. */
export interface IngestServices {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/**
 * Stores a file, symlink or directory of the host (spec 06 section 3). Files are read, hashed, cut and compressed by
 * worker threads; contents are stored in the order of a NAR. Symlinks are never followed, not even as the root.
 *
 * @param path the host path; as bytes where it is not UTF-8
 * @returns once everything is durable (with `session`: once the caller has committed)
 * @throws IngestPathError for what is wrong with the tree; EmbeddedStoreError or CastoreError for what is
 *   wrong with the store
 */
export async function ingestPath(
  services: IngestServices,
  path: string | Uint8Array,
  options: IngestPathOptions = {},
): Promise<IngestPathResult> {
  const ingestion = new Ingestion(services, absolute(path), options)
  try {
    return await ingestion.run()
  } finally {
    await ingestion.close()
  }
}

/** The absolute form of a host path; `.` and `..` are resolved by name. */
export function absolute(path: string | Uint8Array): Buffer {
  if (path.length === 0) throw new IngestPathError('stat', new Uint8Array(0), 'an empty path names no file')
  const text =
    typeof path === 'string' ? Buffer.from(path).toString('latin1') : Buffer.from(path).toString('latin1')
  const cwd = Buffer.from(process.cwd()).toString('latin1')
  return Buffer.from(resolve(cwd, text), 'latin1')
}
