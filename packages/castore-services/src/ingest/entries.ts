import {
  type B3Digest,
  CastoreModelError,
  DirectoryBuilder,
  type DirectorySizes,
  type Node,
  Path,
  type PathComponent,
  SymlinkTarget,
} from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { DigestMismatchError, IngestError, OrphanedDirectoriesError } from './errors.js'

/** One thing of a tree that is ingested (spec 06 section 1.1). */
export type IngestionEntry = RegularEntry | SymlinkEntry | DirectoryEntryEnd

/** A file whose blob is stored already, or surely will be. */
export interface RegularEntry {
  readonly kind: 'regular'
  readonly path: Path
  /** In bytes. */
  readonly size: bigint
  readonly executable: boolean
  readonly digest: B3Digest
}

/** A symbolic link; the target is checked here, not by the producer. */
export interface SymlinkEntry {
  readonly kind: 'symlink'
  readonly path: Path
  readonly target: Uint8Array
}

/** A directory whose children have all been sent. */
export interface DirectoryEntryEnd {
  readonly kind: 'dir'
  readonly path: Path
}

/** Options of {@link ingestEntries}. */
export interface IngestEntriesOptions extends CallOptions {
  /** How directory sizes count (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
}

/**
 * Puts the directories of a tree that comes as a stream of entries, and gives its root (spec 06 section 2).
 *
 * Every child comes before its directory's entry, siblings in any order; the last entry is the root, whose path has
 * one component of any name. Memory grows with the directories that are not complete, not with the tree. However it
 * ends, the stream is closed.
 *
 * @returns the root, without a name. Once it is there, all directories are stored durably
 * @throws IngestError as its codes say; OrphanedDirectoriesError, DigestMismatchError
 */
export async function ingestEntries(
  directories: Pick<DirectoryService, 'putMultipleStart'>,
  entries: AsyncIterable<IngestionEntry>,
  options: IngestEntriesOptions = {},
): Promise<Node> {
  const { signal } = options
  signal?.throwIfAborted()
  const iterator = entries[Symbol.asyncIterator]()
  await using tree = new TreeUnderConstruction(directories, options)
  let ended = false
  try {
    let root: Node | undefined
    for (;;) {
      const next = await pull(iterator, signal)
      if (next.done) {
        ended = true
        break
      }
      const { path } = next.value
      if (root !== undefined) {
        throw new IngestError('trailing-entries', `expected nothing after the root, got '${path}'`, { path })
      }
      root = await tree.add(next.value)
    }
    if (root === undefined) {
      throw new IngestError(
        'unexpected-end-of-stream',
        'expected an entry of one path component as the root, got the end of the stream',
      )
    }
    return await tree.finish(root)
  } finally {
    // A source that is stuck must not keep a cancelled caller waiting, and its complaint is not the one to report.
    const closing = ended ? undefined : iterator.return?.().then(undefined, () => {})
    if (!signal?.aborted) await closing
  }
}

async function pull(
  iterator: AsyncIterator<IngestionEntry>,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<IngestionEntry>> {
  try {
    return await abortable(iterator.next(), signal)
  } catch (cause) {
    signal?.throwIfAborted()
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new IngestError('producer', `cannot get the next entry: ${text}`, { cause })
  }
}

interface PendingDirectory {
  readonly path: Path
  readonly builder: DirectoryBuilder
}

/** The directories that are not complete, and the upload of those that are. */
class TreeUnderConstruction implements AsyncDisposable {
  readonly #pending = new Map<string, PendingDirectory>()
  readonly #directories: Pick<DirectoryService, 'putMultipleStart'>
  readonly #options: IngestEntriesOptions
  #putter: DirectoryPutter | undefined

  constructor(directories: Pick<DirectoryService, 'putMultipleStart'>, options: IngestEntriesOptions) {
    this.#directories = directories
    this.#options = options
  }

  /** @returns the node if it is the root's */
  async add(entry: IngestionEntry): Promise<Node | undefined> {
    const { path } = entry
    const name = path.fileName
    if (name === undefined) {
      throw new IngestError('root-path-entry', 'expected entries with a path, got one with the empty path', {
        path,
      })
    }
    const node = await this.#nodeOf(entry)
    if (path.components.length === 1) return node
    this.#addToParent(path, name, node)
    return undefined
  }

  /** Stores everything. */
  async finish(root: Node): Promise<Node> {
    if (this.#pending.size > 0) {
      throw new OrphanedDirectoriesError([...this.#pending.values()].map(({ path }) => path))
    }
    const { signal } = this.#options
    signal?.throwIfAborted()
    if (this.#putter === undefined || root.kind !== 'directory') return root
    let digest: B3Digest
    try {
      digest = await this.#putter.close({ signal })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new IngestError(
        'finalize-directory-upload',
        `cannot finish storing the directories: ${messageOf(cause)}`,
        { cause },
      )
    }
    if (!digest.equals(root.digest))
      throw new DigestMismatchError('root-digest-mismatch', root.digest, digest)
    return root
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#putter?.abort()
  }

  async #nodeOf(entry: IngestionEntry): Promise<Node> {
    switch (entry.kind) {
      case 'regular':
        return { kind: 'file', digest: entry.digest, size: entry.size, executable: entry.executable }
      case 'symlink':
        return { kind: 'symlink', target: attempt(entry.path, () => SymlinkTarget.from(entry.target)) }
      case 'dir':
        return this.#put(entry.path)
    }
  }

  async #put(path: Path): Promise<Node> {
    const { signal, directorySizes } = this.#options
    const key = path.key
    const directory = (this.#pending.get(key)?.builder ?? new DirectoryBuilder()).build()
    this.#pending.delete(key)
    const node = attempt(path, () => directory.toNode(directorySizes))
    this.#putter ??= this.#directories.putMultipleStart({ signal })
    try {
      await this.#putter.put(directory, { signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw uploadError(path, error)
    }
    return node
  }

  #addToParent(path: Path, name: PathComponent, node: Node): void {
    const parent = Path.of(path.components.slice(0, -1))
    let pending = this.#pending.get(parent.key)
    if (pending === undefined) {
      pending = { path: parent, builder: new DirectoryBuilder() }
      this.#pending.set(parent.key, pending)
    }
    const { builder } = pending
    attempt(path, () => builder.add(name, node))
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function uploadError(path: Path, cause: unknown): IngestError {
  return new IngestError('upload-directory', `cannot add '${path}': ${messageOf(cause)}`, { path, cause })
}

/** Runs a step of the model, and names the entry in its error. */
function attempt<T>(path: Path, step: () => T): T {
  try {
    return step()
  } catch (error) {
    throw error instanceof CastoreModelError ? uploadError(path, error) : error
  }
}
