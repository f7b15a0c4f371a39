import type { z } from 'zod'
import {
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  bigtableConfigSchema,
} from '../../directory/bigtable/config.js'
import type { DirectoryService } from '../../directory-service.js'
import { duration } from '../duration.js'
import type { ServiceType } from '../service-type.js'

const schema = bigtableConfigSchema.extend({
  timeout: duration()
    .refine((milliseconds) => milliseconds > 0 && milliseconds % 1000 === 0, {
      error: 'expected whole seconds, at least one',
    })
    .optional(),
})

/** Configuration of {@link bigtableType}. */
export type BigtableTypeConfig = z.output<typeof schema>

/**
 * A type of services in a table of Google Cloud Bigtable:
 * `bigtable://instance?project_id=…&table_name=…&family_name=…`.
 *
 * @param open the service of a configuration
 */
export function bigtableType<S>(
  open: (config: BigtableConfigInput) => Promise<S>,
): ServiceType<S, BigtableTypeConfig> {
  return {
    tag: 'bigtable',
    schema,
    fromUrl: (url) => bigtableConfigFromUrl(url),
    build: ({ timeout, ...config }) =>
      open({ ...config, ...(timeout !== undefined && { timeout: String(timeout / 1000) }) }),
  }
}

/** Directories in a table of Google Cloud Bigtable. */
export const bigtableDirectories: ServiceType<DirectoryService, BigtableTypeConfig> = bigtableType(
  async (config) => {
    const { openBigtableDirectoryService } = await import('../../directory/bigtable.js')
    return openBigtableDirectoryService(config)
  },
)
