import type { Store } from '@neve/store-pathinfo'
import type { Root } from '@neve/store-pathinfo/gc'
import type { Context, GlobalOptions } from './context.js'
import { UsageError } from './messages.js'
import { objectStoreAddress, openObjects } from './object-store-address.js'

/**
 * What gives roots to what is put into a store while that is open.
 *
 * @throws UsageError when the store is not one that has roots
 */
export function rootAdder(
  context: Context,
  options: GlobalOptions,
  { engine }: Store,
): (root: Root) => Promise<void> {
  if (engine !== undefined) {
    return async (root) => {
      const { setRoot } = await import('@neve/store-pathinfo/gc')
      await setRoot(engine, root)
    }
  }
  const objects = objectStoreAddress(options)
  if (objects !== undefined) return (root) => addToObjects(objects, root, context)
  throw new UsageError('roots are kept in an embedded store or an object store: give one with --store')
}

/** Sets a root of an object store. */
export async function addToObjects(address: string, root: Root, { io: { signal } }: Context): Promise<void> {
  if ('folder' in root) {
    throw new UsageError(
      '--folder is for embedded stores: a folder is on one machine, an object store on none',
    )
  }
  const { setObjectRoot } = await import('@neve/store-pathinfo/object-gc')
  await using opened = await openObjects(address)
  await setObjectRoot(opened.store, root, { signal })
}
