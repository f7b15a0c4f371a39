import type { ObjectStore } from '@neve/castore-services/object-store'
import { defaultStoreAddress } from '@neve/store-pathinfo/address'
import { UsageError } from './messages.js'
import { type StoreOptions, storeSources } from './store-options.js'

/** The address of the object store that is the whole store the options name; undefined where it is none. */
export function objectStoreAddress(options: StoreOptions): string | undefined {
  const sources = storeSources(options) ?? defaultStoreAddress()
  return typeof sources === 'string' && sources.startsWith('objectstore+') ? sources : undefined
}

/** Opens it, for a command that looks at its objects. */
export async function openObjects(
  address: string,
): Promise<{ readonly store: ObjectStore } & AsyncDisposable> {
  const { objectStoreAt } = await import('@neve/store-pathinfo/object-gc')
  const store = await objectStoreAt(address)
  if (store === undefined) throw new UsageError(`${address} is no object store`)
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close?.()
    },
  }
}
