import type { CallOptions } from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import type { ListPathInfosOptions, NarCalculationService, PathInfoService } from '../path-info-service.js'

/** Lets reads through to another service, and refuses every put with `unsupported`. */
export class ReadonlyPathInfoService implements PathInfoService {
  readonly #inner: Omit<PathInfoService, 'put' | 'close'>

  /** @param inner stays the caller's, who closes it */
  constructor(inner: Omit<PathInfoService, 'put' | 'close'>) {
    this.#inner = inner
  }

  get narCalculation(): NarCalculationService | undefined {
    return this.#inner.narCalculation
  }

  async get(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined> {
    return this.#inner.get(digest, options)
  }

  async has(digest: Uint8Array, options?: CallOptions): Promise<boolean> {
    return this.#inner.has(digest, options)
  }

  async put(_info: PathInfo, { signal }: CallOptions = {}): Promise<PathInfo> {
    signal?.throwIfAborted()
    throw readonlyRefusal()
  }

  list(options?: ListPathInfosOptions): AsyncIterable<PathInfo> {
    return this.#inner.list(options)
  }
}

/** What a service that cannot be written to answers. */
export function readonlyRefusal(): StoreError {
  return new StoreError('unsupported', 'cannot put a path info: the service is read-only')
}
