import { B3Digest, type DirectorySizes, type Node, Path } from '@neve/castore-model'
import { type BlobService, type DirectoryService, descend } from '@neve/castore-services'
import { ContentThreads } from '@neve/castore-services/blob/content-threads'
import { engineOf } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import type { IngestProgress } from '@neve/castore-services/ingest/filesystem'
import type { EmbeddedStore } from '@neve/embedded-store'
import { StorePath } from '@neve/nix-compat'
import { type CompressNarOptions, compressNar } from './compress-nar.js'
import { type CopiedPath, type CopyPathsOptions, copyPaths } from './copy-paths.js'
import { StoreError } from './errors.js'
import { type ImportArchiveOptions, type ImportedArchive, importArchive } from './import-archive.js'
import {
  type ImportedNar,
  type ImportNarOptions,
  type IngestCompressedNarOptions,
  importNar,
  ingestCompressedNar,
} from './import-nar.js'
import { type ImportedPath, Importer } from './import-path.js'
import type { IngestedNar } from './ingest-nar.js'
import { listNar } from './list-nar.js'
import { measureNar, type NarMeasure } from './measure-nar.js'
import { NarLayouts } from './nar-layout.js'
import { NarPlans } from './nar-plans.js'
import { NarReader } from './nar-reader.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import type { PathInfo } from './path-info.js'
import type { PathInfoService, PathMetadata } from './path-info-service.js'
import { type RenderNarOptions, renderNar } from './render-nar.js'

/** Options of {@link Store.importPath}. */
export interface ImportPathOptions {
  /** The name in the store path. Default: the last component of the path. */
  readonly name?: string | undefined
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  readonly signal?: AbortSignal | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined
  /** Whether unchanged files may be taken from the record of their last import. Default: true. */
  readonly fileCache?: boolean | undefined
}

/** What an address in the store names. */
export interface Resolved {
  readonly node: Node
  /** The store path that the address began with, if it did. */
  readonly storePath: StorePath | undefined
  /** The path below the store path or digest. */
  readonly path: Path
}

/** What a {@link Store} is made of. */
export interface StoreParts {
  readonly blobs: BlobService
  readonly directories: DirectoryService
  readonly pathInfos: PathInfoService
  /** Closes the parts, once the store is done with them. Default: they stay open. */
  readonly close?: (() => Promise<void>) | undefined
}

/**
 * A whole store: blobs, directories and path infos, over any services. Where all three lie in one embedded store,
 * imports and NARs take its direct ways. Close it, or use `await using`.
 */
export class Store implements AsyncDisposable {
  readonly blobs: BlobService
  readonly directories: DirectoryService
  readonly pathInfos: PathInfoService
  /** The embedded store that everything lies in, if there is one. */
  readonly engine: EmbeddedStore | undefined
  readonly #importer: Importer
  readonly #closeParts: (() => Promise<void>) | undefined
  readonly #layouts = new NarLayouts()
  readonly #plans = new NarPlans()
  #threads: ContentThreads | undefined
  #closing: Promise<void> | undefined

  constructor({ blobs, directories, pathInfos, close }: StoreParts) {
    this.blobs = blobs
    this.directories = directories
    this.pathInfos = pathInfos
    this.engine = sharedEngine(blobs, directories, pathInfos)
    this.#closeParts = close
    this.#importer = new Importer(this)
  }

  /**
   * Stores a file, symlink or directory of the host under the store path that Nix gives it (spec 06 section 7.1).
   *
   * @param path the host path; as bytes where it is not UTF-8
   * @returns once everything is durable
   * @throws StoreError `invalid-name`; IngestPathError
   */
  importPath(path: string | Uint8Array, options: ImportPathOptions = {}): Promise<ImportedPath> {
    return this.#importer.import(path, options)
  }

  /**
   * Stores the tree in a tar archive, compressed or not, under the store path that Nix gives the unpacked tree (spec 06
   * section 5).
   *
   * @param source the archive in pieces of any length; closed however this ends
   * @returns once everything is durable
   * @throws StoreError `invalid-name`; ArchiveError for what is wrong with the archive
   */
  importArchive(source: AsyncIterable<Uint8Array>, options: ImportArchiveOptions): Promise<ImportedArchive> {
    return importArchive(this, source, options)
  }

  /**
   * Stores the tree in a NAR, compressed or not, without a store path: see `ingestNar` and `plainNar`.
   *
   * @param source the NAR in pieces of any length; closed however this ends
   * @returns once everything is durable
   */
  ingestNar(source: AsyncIterable<Uint8Array>, options?: IngestCompressedNarOptions): Promise<IngestedNar> {
    return ingestCompressedNar(this, source, options)
  }

  /**
   * As {@link ingestNar}, under the store path that Nix gives the tree with a name (spec 07 section 9.1).
   *
   * @throws StoreError `invalid-name`; as {@link ingestNar}
   */
  importNar(source: AsyncIterable<Uint8Array>, options: ImportNarOptions): Promise<ImportedNar> {
    return importNar(this, source, options)
  }

  /**
   * Copies store paths that are on the host, with what Nix says of them (spec 08 section 3.3). What is there already is
   * not read. Each path becomes visible after those that it references, as far as they are among the described ones.
   *
   * @param described such as `readNixPathInfos` gives
   * @returns what became of each, references first, once it is durable
   * @throws on iterating: StoreError `invalid-input` for references in a cycle, before anything is done; unless
   *   `keepGoing`, the error of the first path that cannot be copied, after that was given as `failed`: IngestPathError,
   *   NarMismatchError, StoreError `already-exists`
   */
  copyPaths(described: Iterable<PathMetadata>, options: CopyPathsOptions = {}): AsyncIterable<CopiedPath> {
    return copyPaths(this, this.#importer, described, options)
  }

  /**
   * The NAR of a store path or node, in pieces of up to 2 MiB; each may be read until the next is
   * asked for, and never changed: others may be handed the same memory.
   *
   * @throws StoreError on iterating; then what was delivered is to be thrown away
   */
  async *nar(
    target: string | StorePath | Node,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<Uint8Array> {
    yield* renderNar(this, await this.#node(target), this.#rendering(options))
  }

  /**
   * The NAR of a store path or node as a zstd stream, of the frames that are stored where blobs are stored in frames:
   * see {@link compressNar}. Each piece may be read until the next is asked for, and never changed.
   *
   * @throws StoreError on iterating; then what was delivered is to be thrown away
   */
  async *compressedNar(
    target: string | StorePath | Node,
    options: Omit<CompressNarOptions, 'threads' | 'plans'> = {},
  ): AsyncIterable<Uint8Array> {
    yield* compressNar(this, await this.#node(target), this.#rendering(options))
  }

  /**
   * The NAR of a store path or node, to be read at any position without rendering what lies before it. Where things
   * stand in it is remembered for the next time.
   *
   * @throws StoreError `not-found`, `directory-not-found`; DataLossError when a directory is damaged or missing
   */
  async openNar(
    target: string | StorePath | Node,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<NarReader> {
    return await NarReader.open(this, await this.#node(target), { ...options, layouts: this.#layouts })
  }

  /** The listing of a NAR, as Nix writes it under `<hash>.ls`: see {@link listNar}. */
  async *narListing(
    target: string | StorePath | Node,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<string> {
    yield* listNar(this, await this.#node(target), options)
  }

  /**
   * Size and SHA-256 of a node's NAR: from the record of an earlier calculation if there is one, or from where the
   * contents are, if somebody calculates there.
   */
  measureNar(node: Node, options: { readonly signal?: AbortSignal } = {}): Promise<NarMeasure> {
    const there = engineOf(this.blobs) === undefined ? this.pathInfos.narCalculation : undefined
    if (there !== undefined) return there.calculateNar(node, options)
    return measureNar(this, node, { ...options, threads: this.#contentThreads() })
  }

  /**
   * Finds what an address names: an absolute or bare store path, or a digest of a directory or blob (`blake3-…`, `b3:…`
   * or 64 hex digits), each with or without `/sub/path` behind it. Symlinks are not followed.
   *
   * @throws StoreError `invalid-address`, `not-found`
   */
  async resolve(address: string): Promise<Resolved> {
    const parsed = parseAddress(address)
    const root = await this.#root(parsed.root, address)
    const node = await descend(this.directories, root.node, parsed.path)
    if (node === undefined)
      throw new StoreError('not-found', `${address}: there is no ${parsed.path} below the root`)
    return { node, storePath: root.storePath, path: parsed.path }
  }

  async #node(target: string | StorePath | Node): Promise<Node> {
    return typeof target === 'object' && 'kind' in target ? target : (await this.resolve(String(target))).node
  }

  /** What renderings share. */
  #rendering<T extends RenderNarOptions>(options: T): T {
    return { ...options, threads: this.#contentThreads(), plans: this.#plans }
  }

  /** Threads for everything that is read from an embedded store; none is started before there is work for it. */
  #contentThreads(): ContentThreads | undefined {
    const engine = engineOf(this.blobs)
    if (engine !== undefined) this.#threads ??= new ContentThreads(engine)
    return this.#threads
  }

  /** Ends what runs for this store, then closes the services that were opened for it. Calling it again does nothing. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      await this.#importer.close()
      await this.#threads?.close()
    } finally {
      await this.#closeParts?.()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #root(
    root: StorePath | B3Digest,
    address: string,
  ): Promise<{ node: Node; storePath: StorePath | undefined }> {
    if (root instanceof StorePath) {
      const info: PathInfo | undefined = await this.pathInfos.get(root.digest)
      if (info === undefined || !info.storePath.equals(root)) {
        throw new StoreError('not-found', `${root.toAbsolute()} is not in the store`)
      }
      return { node: info.node, storePath: info.storePath }
    }
    const directory = await this.directories.get(root)
    if (directory !== undefined) return { node: directory.toNode(), storePath: undefined }
    const reader = await this.blobs.open(root)
    if (reader === undefined)
      throw new StoreError('not-found', `${address}: the store has no directory or blob ${root.toSri()}`)
    await reader.close()
    return {
      node: { kind: 'file', digest: root, size: reader.size, executable: false },
      storePath: undefined,
    }
  }
}

/** The engine that all three have in common. */
function sharedEngine(
  blobs: BlobService,
  directories: DirectoryService,
  pathInfos: PathInfoService,
): EmbeddedStore | undefined {
  const engine = engineOf(blobs)
  const shared =
    directories instanceof EmbeddedDirectoryService &&
    directories.engine === engine &&
    pathInfos instanceof EmbeddedPathInfoService &&
    pathInfos.engine === engine
  return shared ? engine : undefined
}

/** Splits an address into its root and the path below it. */
export function parseAddress(address: string): { readonly root: StorePath | B3Digest; readonly path: Path } {
  const hint = 'expected a store path, blake3-… or b3:…, or one of them with /sub/path'
  try {
    if (address.startsWith('/')) {
      const { storePath } = StorePath.parseFull(address)
      return { root: storePath, path: pathBelow(address.slice(storePath.toAbsolute().length)) }
    }
    const digest = /^(blake3-[A-Za-z0-9+/]{43}=|b3:[A-Za-z0-9+/]{43}=|[0-9a-f]{64})(\/.*)?$/s.exec(address)
    if (digest !== null) return { root: B3Digest.parse(digest[1]!), path: pathBelow(digest[2] ?? '') }
    const slash = address.indexOf('/')
    const end = slash < 0 ? address.length : slash
    return { root: StorePath.parse(address.slice(0, end)), path: pathBelow(address.slice(end)) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError('invalid-address', `${address}: ${reason}; ${hint}`, undefined, { cause: error })
  }
}

/** Reads what follows the root of an address: nothing, or a slash and a path with at most one slash behind it. */
function pathBelow(text: string): Path {
  return Path.parse(text.length > 2 && text.endsWith('/') ? text.slice(1, -1) : text.slice(1))
}
