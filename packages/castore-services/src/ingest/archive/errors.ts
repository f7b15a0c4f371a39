import { escapeBytes } from '@neve/castore-model'

/**
 * What is wrong with an archive.
 *
 * Of the file as a whole:
 * - `source`: the archive could not be read; the cause tells why
 * - `compressed-data`: the compressed data is damaged
 * - `compressed-truncated`: the compressed data ends too early
 * - `compression-unsupported`: a compressed form that cannot be read here
 * - `truncated`: the archive ends in the middle of an entry
 * - `trailing-garbage`: something other than zeros follows the end of the archive
 * - `top-level`: not exactly one directory at the top
 * - `limit`: more than what was allowed; `limit` tells of what
 *
 * Of one entry:
 * - `checksum`: the checksum of a header does not fit: damage, or no archive at all
 * - `header`: a field of a header cannot be understood
 * - `extended-header`: a PAX header or a long name of GNU tar is malformed or out of place
 * - `sparse`: the list of a sparse file's pieces is malformed
 * - `entry-type`: a device, a FIFO or something unknown
 * - `unexpected-content`: an entry that cannot have content has some
 * - `path`: an absolute path, one that leads out of the archive, or one that no tree can have
 * - `symlink-target`: a link without a target, or one that no tree can have
 * - `hard-link`: a hard link to anything but a file or symlink that came before it
 * - `duplicate`: the path was there before, where that is not allowed
 */
export type ArchiveErrorCode =
  | 'source'
  | 'compressed-data'
  | 'compressed-truncated'
  | 'compression-unsupported'
  | 'truncated'
  | 'trailing-garbage'
  | 'top-level'
  | 'limit'
  | 'checksum'
  | 'header'
  | 'extended-header'
  | 'sparse'
  | 'entry-type'
  | 'unexpected-content'
  | 'path'
  | 'symlink-target'
  | 'hard-link'
  | 'duplicate'

/** What an {@link ArchiveError} is about. */
export interface ArchiveErrorInit {
  readonly entry?: Uint8Array | undefined
  readonly offset?: number | undefined
  readonly limit?: string | undefined
  readonly cause?: unknown
}

/** An archive that cannot be ingested. Branch on `code`. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
  /** The entry's name as the archive has it, where it is about one. Bytes: names need not be text. */
  readonly entry: Uint8Array | undefined
  /** Where: the position of the entry's header in the archive, decompressed, in bytes; of damage, its own. */
  readonly offset: number | undefined
  /** With code `limit`: the name of the option. */
  readonly limit: string | undefined

  /** @param detail what is wrong, with expected and actual; the message also says where */
  constructor(
    readonly code: ArchiveErrorCode,
    detail: string,
    { entry, offset, limit, cause }: ArchiveErrorInit = {},
  ) {
    super(`${where(entry, offset)}${detail}`, cause === undefined ? undefined : { cause })
    this.entry = entry
    this.offset = offset
    this.limit = limit
  }
}

function where(entry: Uint8Array | undefined, offset: number | undefined): string {
  const at = offset === undefined ? '' : `at byte ${offset}`
  if (entry === undefined) return at === '' ? '' : `${at}: `
  // A name may be as long as the limit allows, a message not.
  const shown = entry.length > 200 ? `${escapeBytes(entry.subarray(0, 200))}…` : escapeBytes(entry)
  return `'${shown}'${at === '' ? '' : ` (${at})`}: `
}

/** A message for the error of another library, or of the host. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
