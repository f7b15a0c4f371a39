import { isCompositionFile } from './embedded-address.js'
import { type OpenedCastore, type OpenStoreOptions, ServiceOpener } from './service-opener.js'

/** Blobs and directories, and what closes them. */
export interface Castore extends OpenedCastore, AsyncDisposable {
  close(): Promise<void>
}

/**
 * Opens blobs and directories that one address names: `embedded:/path/to/folder` or a folder, any address that is good
 * for both kinds (`grpc+unix:/run/neve.sock`, `objectstore+s3://bucket`, …), or a composition file, whose name ends in
 * `.toml`.
 *
 * @throws StoreError `invalid-address`; EmbeddedStoreError; errors of the composition and of the services
 */
export async function openCastore(address: string, options: OpenStoreOptions = {}): Promise<Castore> {
  const opener = new ServiceOpener(options)
  const close = (): Promise<void> => opener.close()
  try {
    const opened = isCompositionFile(address)
      ? await opener.composition(address)
      : { blobs: await opener.blobs(address), directories: await opener.directories(address) }
    return { ...opened, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}
