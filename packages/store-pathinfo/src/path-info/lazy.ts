import type { CallOptions } from '@neve/castore-services'
import type { PathInfo } from '../path-info.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from '../path-info-service.js'

/** Path infos that are opened when they are first used: what only reads by digest needs none. */
export class LazyPathInfoService implements PathInfoService {
  readonly #open: () => Promise<PathInfoService>
  #opened: Promise<PathInfoService> | undefined

  /** @param open called once; whoever gives it closes what it opens */
  constructor(open: () => Promise<PathInfoService>) {
    this.#open = open
  }

  /** Opens them now, so that what is wrong with them shows before any work is done. */
  async open(): Promise<PathInfoService> {
    this.#opened ??= this.#open()
    return this.#opened
  }

  async get(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined> {
    return (await this.open()).get(digest, options)
  }

  async has(digest: Uint8Array, options?: CallOptions): Promise<boolean> {
    return (await this.open()).has(digest, options)
  }

  async put(info: PathInfo, options?: PutPathInfoOptions): Promise<PathInfo> {
    return (await this.open()).put(info, options)
  }

  async *list(options?: ListPathInfosOptions): AsyncGenerator<PathInfo, void, undefined> {
    yield* (await this.open()).list(options)
  }
}
