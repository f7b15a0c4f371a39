import type { LocalStore, Store } from '@neve/store-pathinfo'
import type { Context, GlobalOptions } from './context.js'
import { UsageError } from './messages.js'

/** Opens a store that all lies in one embedded store; for a command that nothing else can do. */
export async function openEmbedded(
  context: Context,
  options: GlobalOptions,
  access: 'read' | 'write',
  command: string,
): Promise<LocalStore> {
  const store = await context.openStore(options, access)
  if (isLocal(store)) return store
  await store.close()
  throw new UsageError(
    `${command} works on an embedded store only, where it lies: give its folder with --store`,
  )
}

function isLocal(store: Store): store is LocalStore {
  return store.engine !== undefined
}

/** The folder of the embedded store that the options name. */
export async function localStorePath(
  context: Context,
  options: GlobalOptions,
  command: string,
): Promise<string> {
  await using store = await openEmbedded(context, options, 'read', command)
  return store.engine.path
}
