import type { BigtableClient } from './client.js'
import {
  type BigtableConfig,
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  parseBigtableConfig,
} from './config.js'
import type { BigtableTarget } from './target.js'

/** What the openers of Bigtable services may be told besides the configuration. */
export interface OpenBigtableOptions {
  /**
   * Where Bigtable is. Default: the emulator that `BIGTABLE_EMULATOR_HOST` names, without credentials; else Google's
   * service, with the credentials that Google's library finds.
   */
  readonly target?: BigtableTarget | undefined
}

/**
 * The client for a table. Loads the gRPC library when called, and Google's authentication library unless there is an
 * emulator.
 *
 * @throws CastoreError `invalid-request` that names the key which is missing, unknown or wrong
 */
export async function openBigtableClient(
  config: BigtableConfigInput | URL | string,
  { target }: OpenBigtableOptions = {},
): Promise<{ readonly client: BigtableClient; readonly known: BigtableConfig }> {
  const isUrl = typeof config === 'string' || config instanceof URL
  const known = parseBigtableConfig(isUrl ? bigtableConfigFromUrl(config) : config)
  const { findTarget } = await import('./target.js')
  const { BigtableClient } = await import('./client.js')
  const client = new BigtableClient({
    target: target ?? (await findTarget(known, process.env)),
    table: tableName(known),
    appProfile: known.app_profile_id,
    channels: known.channel_size,
    timeout: known.timeout === null ? undefined : Number(known.timeout) * 1000,
  })
  return { client, known }
}

function tableName({ project_id, instance_name, table_name }: BigtableConfig): string {
  return `projects/${project_id}/instances/${instance_name}/tables/${table_name}`
}
