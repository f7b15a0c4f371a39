import type { CallOptions } from './call-options.js'

export interface ObjectMeta {
  readonly key: string
  readonly size: number
}

export interface GetObjectOptions extends CallOptions {
  readonly range?: { readonly offset: number; readonly length: number } | undefined
  readonly maxSize?: number | undefined
}

export interface ObjectStore {
  readonly name: string
  head(key: string, options?: CallOptions): Promise<ObjectMeta | undefined>
  get(key: string, options?: GetObjectOptions): Promise<Uint8Array | undefined>
  put(key: string, content: Uint8Array, options?: CallOptions): Promise<void>
  putIfAbsent(key: string, content: Uint8Array, options?: CallOptions): Promise<boolean>
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectMeta>
  delete(key: string, options?: CallOptions): Promise<void>
  close?(): Promise<void>
}
