import type { Node } from '@neve/castore-model'
import { engineOf } from '@neve/castore-services/blob/embedded'
import {
  absolute,
  FileWorkers,
  type IngestPathResult,
  ingestPath,
  isRecorded,
} from '@neve/castore-services/ingest/filesystem'
import type { WriteSession } from '@neve/embedded-store'
import { ContentAddress, NixHash, narStorePath, type StorePath, validateName } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import { type NarMeasure, recordedMeasure, recordMeasure } from './measure-nar.js'
import { NarHashSink } from './nar-hash-sink.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import type { PathInfo } from './path-info.js'
import type { ImportPathOptions, Store } from './store.js'

/** What {@link Store.importPath} stored. */
export interface ImportedPath extends IngestPathResult, NarMeasure {
  readonly storePath: StorePath
  readonly pathInfo: PathInfo
}

/**
 * The name that an imported path gets: its last component (spec 07 section 9.1).
 *
 * @throws StoreError `invalid-name` when there is none, or it cannot be part of a store path
 */
export function storePathName(path: string | Uint8Array): string {
  const text = typeof path === 'string' ? path : new TextDecoder('utf-8', { fatal: false }).decode(path)
  const components = text.split('/').filter((component) => component !== '' && component !== '.')
  const name = components.at(-1)
  if (name === undefined || name === '..') {
    throw new StoreError(
      'invalid-name',
      `${text || '""'} has no last component to take the name from: give a name`,
    )
  }
  return checkName(name)
}

/** @throws StoreError `invalid-name` */
export function checkName(name: string): string {
  try {
    validateName(name)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError(
      'invalid-name',
      `${JSON.stringify(name)} cannot be the name of a store path: ${reason}`,
      undefined,
      {
        cause: error,
      },
    )
  }
  return name
}

/** Options of {@link Importer.ingest}. */
export interface IngestTreeOptions extends Omit<ImportPathOptions, 'name'> {
  /** Whether to measure the NAR. */
  readonly measured: boolean
}

/** A tree in the store that has no path info yet. */
export interface IngestedTree extends IngestPathResult {
  /** Undefined when it was not asked for. */
  readonly measure: NarMeasure | undefined
  /** Puts the path info, and settles when that and all of the tree is durable. */
  readonly put: (info: PathInfo) => Promise<PathInfo>
}

/** Imports paths of the host into one store, with threads that live from the first import to the last. */
export class Importer {
  readonly #store: Store
  #workers: FileWorkers | undefined

  constructor(store: Store) {
    this.#store = store
  }

  async import(path: string | Uint8Array, options: ImportPathOptions): Promise<ImportedPath> {
    const name = options.name === undefined ? storePathName(path) : checkName(options.name)
    const { measure, put, ...ingested } = await this.ingest(path, { ...options, measured: true })
    const pathInfo = await put(pathInfoOf(name, ingested.node, measure!))
    return { ...ingested, ...measure!, storePath: pathInfo.storePath, pathInfo }
  }

  /** Stores all of a path but its path info. */
  async ingest(path: string | Uint8Array, options: IngestTreeOptions): Promise<IngestedTree> {
    const { pathInfos, engine: shared } = this.#store
    const engine = engineOf(this.#store.blobs)
    this.#workers ??= new FileWorkers(engine)
    if (pathInfos instanceof LazyPathInfoService) await pathInfos.open()
    const session = shared?.write()
    const fileCache = options.fileCache !== false
    const known = fileCache && engine !== undefined && isRecorded(engine, absolute(path))
    // What is known from an earlier import is not read again, so there is nothing to hash in passing.
    await using sink = known || !options.measured ? undefined : new NarHashSink()
    const ingested = await ingestPath(this.#store, path, {
      directorySizes: options.directorySizes,
      signal: options.signal,
      onProgress: options.onProgress,
      sink,
      workers: this.#workers,
      session,
      fileCache,
    })
    return {
      ...ingested,
      measure: options.measured ? await this.#measure(ingested.node, sink, session, options) : undefined,
      put: (info) =>
        session !== undefined && pathInfos instanceof EmbeddedPathInfoService
          ? pathInfos.put(info, { session })
          : pathInfos.put(info),
    }
  }

  /** The measure that the sink took, or that is on record, or that takes a rendering. */
  async #measure(
    node: Node,
    sink: NarHashSink | undefined,
    session: WriteSession | undefined,
    { signal }: ImportPathOptions,
  ): Promise<NarMeasure> {
    const engine = engineOf(this.#store.blobs)
    if (sink !== undefined) {
      const measure = await sink.finish()
      const records = session ?? engine?.write()
      if (records !== undefined) recordMeasure(records, node, measure)
      if (session === undefined) await records?.commit()
      return measure
    }
    const known = engine === undefined ? undefined : recordedMeasure(engine, node)
    if (known !== undefined) return known
    await session?.commit()
    return this.#store.measureNar(node, signal === undefined ? {} : { signal })
  }

  async close(): Promise<void> {
    await this.#workers?.close()
  }
}

/** What is known of contents that are stored under the path that their NAR gives them. */
export function pathInfoOf(name: string, node: Node, measure: NarMeasure): PathInfo {
  return {
    storePath: narStorePath(name, measure.narSha256),
    node,
    references: [],
    ...measure,
    signatures: [],
    deriver: undefined,
    ca: new ContentAddress('recursive', new NixHash('sha256', measure.narSha256)),
  }
}
