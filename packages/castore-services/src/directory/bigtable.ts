import type { DirectoryService } from '../directory-service.js'
import {
  type BigtableConfig,
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  parseBigtableConfig,
} from './bigtable/config.js'
import type { BigtableTarget } from './bigtable/target.js'

export {
  type BigtableConfig,
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  bigtableConfigSchema,
} from './bigtable/config.js'
export { type BigtableTarget, emulatorTarget, googleHeaders } from './bigtable/target.js'

/** What {@link openBigtableDirectoryService} may be told besides the configuration. */
export interface OpenBigtableOptions {
  /**
   * Where Bigtable is. Default: the emulator that `BIGTABLE_EMULATOR_HOST` names, without credentials; else Google's
   * service, with the credentials that Google's library finds.
   */
  readonly target?: BigtableTarget | undefined
}

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
  const isUrl = typeof config === 'string' || config instanceof URL
  const known = parseBigtableConfig(isUrl ? bigtableConfigFromUrl(config) : config)
  const { findTarget } = await import('./bigtable/target.js')
  const { BigtableClient } = await import('./bigtable/client.js')
  const { BigtableDirectoryService } = await import('./bigtable/service.js')
  const client = new BigtableClient({
    target: target ?? (await findTarget(known, process.env)),
    table: tableName(known),
    appProfile: known.app_profile_id,
    channels: known.channel_size,
    timeout: known.timeout === null ? undefined : Number(known.timeout) * 1000,
  })
  return new BigtableDirectoryService(client, known)
}

function tableName({ project_id, instance_name, table_name }: BigtableConfig): string {
  return `projects/${project_id}/instances/${instance_name}/tables/${table_name}`
}
