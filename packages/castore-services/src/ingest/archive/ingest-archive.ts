import {
  type DirectorySizes,
  type Node,
  Path,
  PathError,
  SymlinkTarget,
  SymlinkTargetError,
} from '@neve/castore-model'
import { EmbeddedSessionBlobs, engineOf } from '../../blob/embedded.js'
import type { BlobService } from '../../blob-service.js'
import type { CallOptions } from '../../call-options.js'
import type { DirectoryService } from '../../directory-service.js'
import { ConcurrentBlobUploader } from '../blob-uploader.js'
import { type IngestionEntry, ingestEntries } from '../entries.js'
import { IngestError } from '../errors.js'
import { ByteSource } from './byte-source.js'
import { decompressed } from './decompressed.js'
import { EntryGraph, type EntryGraphInit } from './entry-graph.js'
import { ArchiveError } from './errors.js'
import { type ArchiveLimits, type CheckedLimits, checkedLimits, checkLimit } from './limits.js'
import { type TarEntry, TarReader } from './tar-reader.js'

/** How far the ingestion of an archive has come. */
export interface ArchiveProgress {
  /** Bytes of the archive that were read, compressed as it is. */
  readonly archiveBytes: number
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of file content. */
  readonly bytes: number
}

/** Options of {@link ingestArchive}. */
export interface IngestArchiveOptions
  extends CallOptions,
    ArchiveLimits,
    Pick<EntryGraphInit, 'topLevel' | 'duplicates'> {
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  /**
   * Called often: keep it short. While the archive is read it tells what came by so far; the last call, what the tree
   * has.
   */
  readonly onProgress?: ((progress: ArchiveProgress) => void) | undefined
}

/** The services that {@link ingestArchive} writes to. */
export interface ArchiveServices {
  readonly blobs: Pick<BlobService, 'has' | 'put' | 'openWrite'>
  readonly directories: Pick<DirectoryService, 'putMultipleStart'>
}

/**
 * Stores the tree in a tar archive (spec 06 section 5), which may be compressed with gzip, bzip2, xz or zstd: that is
 * found out by looking at it. The archive is read once, from its start to its last byte; files below 1 MiB are stored
 * in the background, larger ones as they are read. Neither the archive nor a file is ever held as a whole.
 *
 * @param source the archive in pieces of any length; it is closed however this ends
 * @returns the root, without a name, once everything is stored durably
 * @throws ArchiveError for what is wrong with the archive; IngestError and CastoreError for what is wrong with the
 *   services
 */
export async function ingestArchive(
  services: ArchiveServices,
  source: AsyncIterable<Uint8Array>,
  options: IngestArchiveOptions = {},
): Promise<Node> {
  options.signal?.throwIfAborted()
  return new ArchiveIngestion(services, options).run(source)
}

class ArchiveIngestion {
  readonly #services: ArchiveServices
  readonly #options: IngestArchiveOptions
  readonly #limits: CheckedLimits
  readonly #graph: EntryGraph
  #archiveBytes = 0
  #entries = 0
  #files = 0
  #directories = 0
  #symlinks = 0
  #bytes = 0

  constructor(services: ArchiveServices, options: IngestArchiveOptions) {
    this.#services = services
    this.#options = options
    this.#limits = checkedLimits(options)
    const { topLevel, duplicates } = options
    this.#graph = new EntryGraph({ topLevel, duplicates, onImplied: () => this.#count(1, {}) })
  }

  async run(source: AsyncIterable<Uint8Array>): Promise<Node> {
    const { signal, directorySizes, onProgress } = this.#options
    await this.#read(source)
    const graph = this.#graph
    const counts = graph.counts()
    const entries = (async function* () {
      yield* graph.entries()
    })()
    const root = await ingestEntries(this.#services.directories, entries, { directorySizes, signal })
    onProgress?.({ archiveBytes: this.#archiveBytes, ...counts })
    return root
  }

  /** Reads the archive to its end. All blobs are stored afterwards. */
  async #read(source: AsyncIterable<Uint8Array>): Promise<void> {
    const { signal } = this.#options
    const { blobs } = this.#services
    const engine = engineOf(blobs)
    // Of an embedded store one sync is enough for all files.
    const session = engine === undefined ? undefined : new EmbeddedSessionBlobs(engine)
    await using uploader = new ConcurrentBlobUploader(session ?? blobs, { signal })
    const { maxSize } = this.#limits
    const bytes = new ByteSource(decompressed(this.#counted(source), { maxSize, signal }), signal)
    try {
      const reader = new TarReader(bytes, this.#limits)
      for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
        this.#count(1, entry)
        await this.#add(entry, uploader)
        this.#options.onProgress?.(this.#progress())
      }
    } finally {
      await bytes.close()
    }
    await uploader.join()
    await session?.commit()
  }

  async *#counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      this.#archiveBytes += piece.length
      yield piece
    }
  }

  async #add(entry: TarEntry, uploader: ConcurrentBlobUploader): Promise<void> {
    const about = { entry: entry.name, offset: entry.offset }
    const path = this.#path(entry.name, about, 'path')
    checkLimit(this.#limits, 'maxDepth', path.components.length, 'components of a path', about)
    this.#graph.add(await this.#ingestionEntry(path, entry, uploader), about)
  }

  async #ingestionEntry(
    path: Path,
    entry: TarEntry,
    uploader: ConcurrentBlobUploader,
  ): Promise<IngestionEntry> {
    switch (entry.type) {
      case 'directory':
        this.#directories++
        return { kind: 'dir', path }
      case 'symlink':
        this.#symlinks++
        return { kind: 'symlink', path, target: symlinkTarget(entry) }
      case 'hard-link':
        return { ...this.#linked(path, entry), path }
      case 'file': {
        const about = { entry: entry.name, offset: entry.offset }
        checkLimit(this.#limits, 'maxSize', this.#bytes + entry.size, 'bytes of all files', about)
        const size = BigInt(entry.size)
        const digest = await uploader.upload(path, size, entry.content).catch((error: unknown) => {
          // What is wrong with the archive is not a matter of one blob.
          throw error instanceof IngestError && error.cause instanceof ArchiveError ? error.cause : error
        })
        this.#files++
        this.#bytes += entry.size
        return { kind: 'regular', path, size, executable: entry.executable, digest }
      }
    }
  }

  /** What the path of a hard link has at this point of the archive. */
  #linked(path: Path, entry: TarEntry) {
    const about = { entry: entry.name, offset: entry.offset }
    if (entry.linkName.length === 0)
      throw new ArchiveError('hard-link', 'a hard link without a target', about)
    const target = this.#path(entry.linkName, about, 'hard-link')
    const node = this.#graph.lookUp(target)
    if (node !== undefined && node.kind !== 'dir') {
      if (node.kind === 'regular') this.#files++
      else this.#symlinks++
      return node
    }
    const found = node === undefined ? 'no such entry came before it' : 'that is a directory'
    const self = target.equals(path) ? ', itself' : ''
    throw new ArchiveError('hard-link', `a hard link to '${target}'${self}: ${found}`, about)
  }

  #path(
    name: Uint8Array,
    about: { readonly entry: Uint8Array; readonly offset: number },
    code: 'path' | 'hard-link',
  ): Path {
    try {
      return Path.fromHostPath(name, { canonicalizeDotdot: true })
    } catch (cause) {
      if (!(cause instanceof PathError)) throw cause
      const what = code === 'hard-link' ? 'a hard link to ' : ''
      throw new ArchiveError(code, `${what}${REASONS[cause.kind]}${detailOf(cause)}`, { ...about, cause })
    }
  }

  #count(entries: number, about: { readonly name?: Uint8Array; readonly offset?: number }): void {
    this.#entries += entries
    const { name: entry, offset } = about
    checkLimit(this.#limits, 'maxEntries', this.#entries, 'entries', { entry, offset })
  }

  #progress(): ArchiveProgress {
    return {
      archiveBytes: this.#archiveBytes,
      files: this.#files,
      directories: this.#directories,
      symlinks: this.#symlinks,
      bytes: this.#bytes,
    }
  }
}

const REASONS = {
  Absolute: 'an absolute path',
  AboveRoot: 'a path that leads out of the archive',
  DotDot: 'a path that leads out of the archive',
  InvalidComponent: 'a path that no tree can have',
} as const satisfies Record<PathError['kind'], string>

function detailOf({ cause }: PathError): string {
  return cause === undefined ? '' : `: a component ${cause.cause?.message ?? cause.message}`
}

function symlinkTarget({ linkName, name, offset }: TarEntry): Uint8Array {
  const about = { entry: name, offset }
  if (linkName.length === 0) throw new ArchiveError('symlink-target', 'a symlink without a target', about)
  try {
    return SymlinkTarget.from(linkName).bytes
  } catch (cause) {
    if (!(cause instanceof SymlinkTargetError)) throw cause
    const reason = cause.cause?.message ?? cause.message
    throw new ArchiveError('symlink-target', `a symlink target ${reason}`, { ...about, cause })
  }
}
