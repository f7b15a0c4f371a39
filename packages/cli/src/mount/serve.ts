import type { EmbeddedMountOptions, FuseMount, ServingThread } from '@neve/fs-fuse/embedded'
import type { Store } from '@neve/store-pathinfo'
import type { Context, GlobalOptions } from '../context.js'
import { storeSources } from '../store-options.js'

/** What a mount is asked for. */
export interface MountRequest extends EmbeddedMountOptions {
  /** The address of the directory to show; undefined for all store paths. */
  readonly root: string | undefined
  readonly thread: ServingThread
}

/** A mount that is served, and what it shows. */
export interface Served extends AsyncDisposable {
  readonly mount: FuseMount
  /** For the log. */
  readonly shows: Readonly<Record<string, unknown>>
}

/**
 * Mounts the store that the options name. An embedded store has a thread of its own that reads it, and nothing else is
 * loaded for it; any other is asked from here.
 */
export async function serveMount(
  context: Context,
  dest: string,
  options: GlobalOptions,
  request: MountRequest,
): Promise<Served> {
  const path = await embeddedStorePath(options)
  if (path !== undefined && request.root === undefined) {
    const { mountEmbedded } = await import('@neve/fs-fuse/embedded')
    const mount = await mountEmbedded(path, {}, dest, request)
    return { mount, shows: { store: path }, [Symbol.asyncDispose]: async () => {} }
  }
  const store = await context.openStore(options, 'read')
  try {
    const directory = request.root === undefined ? undefined : await directoryOf(store, request.root)
    const shows = { store: store.engine?.path, root: directory?.digest().toSri() }
    if (store.engine === undefined) {
      const mount = await mountServices(store, directory, dest, request)
      return { mount, shows, [Symbol.asyncDispose]: () => store.close() }
    }
    const { mountEmbedded } = await import('@neve/fs-fuse/embedded')
    const mount = await mountEmbedded(store.engine.path, { directory: shows.root }, dest, request)
    return { mount, shows, [Symbol.asyncDispose]: () => store.close() }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** The folder of the embedded store that the options name, if they name one as a whole. */
async function embeddedStorePath(options: GlobalOptions): Promise<string | undefined> {
  const sources = storeSources(options)
  if (typeof sources === 'object') return undefined
  const address = await import('@neve/store-pathinfo/address')
  const named = sources ?? address.defaultStoreAddress()
  if (!address.isEmbeddedAddress(named) || address.isCompositionFile(named)) return undefined
  return address.embeddedPath(named)
}

type StoredDirectory = Awaited<ReturnType<typeof directoryOf>>

async function mountServices(
  store: Store,
  directory: StoredDirectory | undefined,
  dest: string,
  request: MountRequest,
): Promise<FuseMount> {
  const [fuse, { PathInfoRoots }] = await Promise.all([
    import('@neve/fs-fuse'),
    import('@neve/store-pathinfo'),
  ])
  const roots = directory === undefined ? new PathInfoRoots(store.pathInfos) : fuse.MapRootNodes.of(directory)
  const content = new fuse.ServiceContent(store.blobs, store.directories)
  return fuse.mountFilesystem(new fuse.CastoreFilesystem({ ...request, roots, content }), dest, request)
}

async function directoryOf(store: Store, address: string) {
  const { resolveAddress } = await import('../address.js')
  const { node } = await resolveAddress(store, address)
  if (node.kind === 'directory') {
    const directory = await store.directories.get(node.digest)
    if (directory !== undefined) return directory
  }
  const { StoreError } = await import('@neve/store-pathinfo')
  throw new StoreError('not-found', `--root ${address} is a ${node.kind}, expected a directory`)
}
