import { type DirectorySizes, type Node, Path, PathComponent } from '@neve/castore-model'
import type { BlobService, CallOptions, DirectoryService } from '@neve/castore-services'
import { EmbeddedSessionBlobs, engineOf } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import {
  ConcurrentBlobUploader,
  IngestError,
  type IngestionEntry,
  ingestEntries,
} from '@neve/castore-services/ingest'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { type NarEvent, narEvents } from '@neve/nar'
import { type ContentAddress, NixHasher } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import type { NarMeasure } from './measure-nar.js'
import { NarMismatchError } from './nar-mismatch-error.js'
import { Sha256Stream } from './sha256-stream.js'

/** The services that {@link ingestNar} writes to. */
export interface NarTarget {
  readonly blobs: BlobService
  readonly directories: Pick<DirectoryService, 'putMultipleStart'>
}

/** Options of {@link ingestNar}. */
export interface IngestNarOptions extends CallOptions {
  /** The length that the NAR must have. Default: any up to `maxSize`. */
  readonly narSize?: bigint | undefined
  /** The SHA-256 that the NAR must have. Default: any. */
  readonly narSha256?: Uint8Array | undefined
  /** The content address that it must have: of the NAR, or of the one file in it. Default: any. */
  readonly ca?: ContentAddress | undefined
  /** The most bytes to read. Default: 1 TiB. */
  readonly maxSize?: bigint | undefined
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  /**
   * Of the embedded store that both services are of: everything is written to it, and durable once the caller has
   * committed it. Default: all is durable in the end.
   */
  readonly session?: WriteSession | undefined
}

/** What {@link ingestNar} stored. */
export interface IngestedNar extends NarMeasure {
  /** The root, without a name. */
  readonly node: Node
}

const MAX_SIZE = 2n ** 40n
/** What is open on the way down is known by its whole path. Nix itself reads 64 levels. */
const MAX_DEPTH = 512
/** Paths have to begin somewhere; what it is called shows nowhere. */
const ROOT = PathComponent.from('root')

/**
 * Stores the tree in a NAR (spec 07 sections 9 and 13.6), which is read once, from its first byte to its last. Files below
 * 1 MiB are stored in the background, at most 128 MiB of them at a time; larger ones as they are read. Directories come
 * last, when all files are stored and size, hashes and content address were found right: of a NAR that is refused, no
 * directory is stored.
 *
 * @param source the NAR, uncompressed, in pieces of any length; it is closed however this ends
 * @returns once everything is durable, if no session is given
 * @throws NarMismatchError for another size, hash or content address than was expected; NarError for what is no NAR;
 *   StoreError `too-large`; IngestError and CastoreError for the trouble of the services; what the source throws
 */
export async function ingestNar(
  { blobs, directories }: NarTarget,
  source: AsyncIterable<Uint8Array>,
  options: IngestNarOptions = {},
): Promise<IngestedNar> {
  const { signal, directorySizes } = options
  signal?.throwIfAborted()
  using check = new NarCheck(options)
  const engine = engineOf(blobs)
  // In an embedded store one sync is enough for all files, and for directories that are in the same one.
  const files = engine && new EmbeddedSessionBlobs(engine, options.session)
  const beside = files && besideFiles(directories, files.session, engine)
  await using uploader = new ConcurrentBlobUploader(files ?? blobs, { signal })
  const finish = async (): Promise<void> => {
    await check.finish()
    await uploader.join()
    if (beside === undefined) await files?.commit()
  }
  try {
    const entries = entriesOf(check.through(source), check, uploader, finish)
    const node = await ingestEntries(beside ?? directories, entries, { signal, directorySizes })
    if (options.session === undefined) await files?.commit()
    return { node, ...check.measure }
  } catch (error) {
    throw unwrapped(error)
  }
}

/** Directories in the session of the files, if they are of the same engine. */
function besideFiles(
  directories: NarTarget['directories'],
  session: WriteSession,
  engine: EmbeddedStore,
): NarTarget['directories'] | undefined {
  if (!(directories instanceof EmbeddedDirectoryService) || directories.engine !== engine) return undefined
  return { putMultipleStart: (options) => directories.putMultipleInto(session, options) }
}

/** The entries of an archive, children before their directory; the root when everything else is stored and checked. */
async function* entriesOf(
  source: AsyncIterable<Uint8Array>,
  check: NarCheck,
  uploader: ConcurrentBlobUploader,
  finish: () => Promise<void>,
): AsyncGenerator<IngestionEntry, void, undefined> {
  const open: Path[] = []
  let root: IngestionEntry | undefined
  for await (const event of narEvents(source, { maxDepth: MAX_DEPTH })) {
    if (event.type === 'directory-start') {
      open.push(childPath(open, event.name))
      continue
    }
    const entry = await entryOf(event, open, check, uploader)
    if (entry.path.components.length === 1) root = entry
    else yield entry
  }
  await finish()
  if (root !== undefined) yield root
}

async function entryOf(
  event: Exclude<NarEvent, { type: 'directory-start' }>,
  open: Path[],
  check: NarCheck,
  uploader: ConcurrentBlobUploader,
): Promise<IngestionEntry> {
  if (event.type === 'directory-end') return { kind: 'dir', path: open.pop()! }
  const path = childPath(open, event.name)
  if (event.type === 'symlink') return { kind: 'symlink', path, target: event.target }
  const { size, executable } = event
  const content = open.length === 0 ? check.rootFile(event.content) : event.content
  return { kind: 'regular', path, size, executable, digest: await uploader.upload(path, size, content) }
}

function childPath(open: readonly Path[], name: Uint8Array): Path {
  const parent = open.at(-1)
  return parent === undefined ? Path.of([ROOT]) : parent.join(PathComponent.from(name))
}

/** Counts and hashes what comes by, and says in the end whether it is what was expected. */
class NarCheck implements Disposable {
  readonly #expected: IngestNarOptions
  readonly #limit: bigint
  readonly #sha256 = new Sha256Stream()
  readonly #ca: NixHasher | undefined
  #measure: NarMeasure | undefined
  #size = 0n
  #isFile = false

  constructor(expected: IngestNarOptions) {
    const { narSize, maxSize = MAX_SIZE, ca } = expected
    if (narSize !== undefined && narSize > maxSize) throw tooLarge(maxSize)
    this.#expected = expected
    this.#limit = narSize ?? maxSize
    this.#ca = ca && new NixHasher(ca.hash.algorithm)
  }

  get measure(): NarMeasure {
    return this.#measure!
  }

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      this.#expected.signal?.throwIfAborted()
      this.#size += BigInt(piece.length)
      if (this.#size > this.#limit) throw this.#tooLong()
      const room = this.#sha256.update(piece)
      if (room !== undefined) await room
      if (this.#expected.ca?.method === 'recursive') this.#ca?.update(piece)
      yield piece
    }
  }

  /** The content of the one file that the archive is. */
  async *rootFile(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    this.#isFile = true
    for await (const piece of content) {
      if (this.#expected.ca?.method !== 'recursive') this.#ca?.update(piece)
      yield piece
    }
  }

  [Symbol.dispose](): void {
    this.#sha256.discard()
  }

  /** @throws NarMismatchError */
  async finish(): Promise<void> {
    const narSha256 = await this.#sha256.digest()
    this.#measure = { narSize: this.#size, narSha256 }
    const { narSize, narSha256: expected, ca } = this.#expected
    if (narSize !== undefined && narSize !== this.#size) {
      throw new NarMismatchError('size', `${narSize} bytes`, `${this.#size}`)
    }
    if (expected !== undefined && Buffer.compare(expected, narSha256) !== 0) {
      throw new NarMismatchError('hash', sri(expected), sri(narSha256))
    }
    if (ca === undefined || this.#ca === undefined) return
    if (ca.method !== 'recursive' && !this.#isFile) {
      throw new NarMismatchError('type', `a regular file for ${ca}`, 'something else')
    }
    const actual = this.#ca.finish()
    if (!actual.equals(ca.hash))
      throw new NarMismatchError('content-address', ca.hash.toSri(), actual.toSri())
  }

  #tooLong(): StoreError {
    const { narSize, maxSize = MAX_SIZE } = this.#expected
    return narSize === undefined
      ? tooLarge(maxSize)
      : new NarMismatchError('size', `${narSize} bytes`, `${this.#size} or more`)
  }
}

function tooLarge(limit: bigint): StoreError {
  return new StoreError('too-large', `the NAR has more than ${limit} bytes`)
}

function sri(digest: Uint8Array): string {
  return `sha256-${Buffer.from(digest).toString('base64')}`
}

/** What is wrong with the NAR, or with where it comes from, is not a matter of one entry or blob. */
function unwrapped(error: unknown): unknown {
  let cause = error
  while (cause instanceof IngestError && (cause.code === 'producer' || cause.code === 'blob-read')) {
    if (cause.cause === undefined) return cause
    cause = cause.cause
  }
  return cause
}
