import type { Node } from '@neve/castore-model'
import {
  absolute,
  FileWorkers,
  type IngestPathResult,
  ingestPath,
  isRecorded,
} from '@neve/castore-services/ingest/filesystem'
import { narStorePath, type StorePath, validateName } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import { type NarMeasure, recordedMeasure, recordMeasure } from './measure-nar.js'
import { NarHashSink } from './nar-hash-sink.js'
import { CaKind, type PathInfo } from './path-info.js'
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

/** Imports paths of the host into one store, with threads that live from the first import to the last. */
export class Importer {
  readonly #store: Store
  #workers: FileWorkers | undefined

  constructor(store: Store) {
    this.#store = store
  }

  async import(path: string | Uint8Array, options: ImportPathOptions): Promise<ImportedPath> {
    const name = options.name === undefined ? storePathName(path) : checkName(options.name)
    const { engine } = this.#store
    this.#workers ??= new FileWorkers(engine)
    const session = engine.write()
    const fileCache = options.fileCache !== false
    // What is known from an earlier import is not read again, so there is nothing to hash in passing.
    const sink = fileCache && isRecorded(engine, absolute(path)) ? undefined : new NarHashSink()
    const ingested = await ingestPath(this.#store, path, {
      directorySizes: options.directorySizes,
      signal: options.signal,
      onProgress: options.onProgress,
      sink,
      workers: this.#workers,
      session,
      fileCache,
    })
    let measure: NarMeasure | undefined
    if (sink !== undefined) {
      measure = sink.finish()
      recordMeasure(session, ingested.node, measure)
    } else {
      measure = recordedMeasure(engine, ingested.node)
      if (measure === undefined) {
        await session.commit()
        measure = await this.#store.measureNar(
          ingested.node,
          options.signal === undefined ? {} : { signal: options.signal },
        )
      }
    }
    const pathInfo = this.#store.pathInfos.putIn(session, pathInfoOf(name, ingested.node, measure))
    await session.commit()
    return { ...ingested, ...measure, storePath: pathInfo.storePath, pathInfo }
  }

  async close(): Promise<void> {
    await this.#workers?.close()
  }
}

function pathInfoOf(name: string, node: Node, measure: NarMeasure): PathInfo {
  return {
    storePath: narStorePath(name, measure.narSha256),
    node,
    references: [],
    ...measure,
    signatures: [],
    deriver: undefined,
    ca: { kind: CaKind.narSha256, digest: measure.narSha256 },
  }
}
