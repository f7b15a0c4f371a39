import type { DirectoryService } from '../directory-service.js'
import type { BigtableConfigInput } from './bigtable/config.js'
import { type OpenBigtableOptions, openBigtableClient } from './bigtable/open-client.js'

export {
  type BigtableConfig,
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  bigtableConfigSchema,
} from './bigtable/config.js'
export type { OpenBigtableOptions } from './bigtable/open-client.js'
export { type BigtableTarget, emulatorTarget, googleHeaders } from './bigtable/target.js'

/**
 * Directories in a table of Google Cloud Bigtable, laid out as the reference does (spec 03 section 9.2): the row's key
 * and the column's qualifier are the digest in lower-case hex, the value is the directory. Table and column family have
 * to exist. Nothing is contacted before the first call.
 *
 * A single put is one conditional write; an upload is read and written in batches, a level of the tree at a time. What is
 * there already is checked, and written anew when it is damaged. Directories of more than 10 MiB are refused as
 * `too-large`.
 *
 * Loads the gRPC library when called, and Google's authentication library unless there is an emulator.
 *
 * @param config keys as {@link bigtableConfigSchema} documents them, or a `bigtable://instance?project_id=…` URL
 * @throws CastoreError `invalid-request` that names the key which is missing, unknown or wrong
 */
export async function openBigtableDirectoryService(
  config: BigtableConfigInput | URL | string,
  { target }: OpenBigtableOptions = {},
): Promise<DirectoryService & { close(): Promise<void> }> {
  const { client, known } = await openBigtableClient(config, { target })
  const { BigtableDirectoryService } = await import('./bigtable/service.js')
  return new BigtableDirectoryService(client, known)
}
