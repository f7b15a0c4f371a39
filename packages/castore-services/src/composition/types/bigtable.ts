import type { z } from 'zod'
import { bigtableConfigFromUrl, bigtableConfigSchema } from '../../directory/bigtable/config.js'
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

/** Directories in a table of Google Cloud Bigtable: `bigtable://instance?project_id=…&table_name=…&family_name=…`. */
export const bigtableDirectories: ServiceType<DirectoryService, z.output<typeof schema>> = {
  tag: 'bigtable',
  schema,
  fromUrl: (url) => bigtableConfigFromUrl(url),
  async build({ timeout, ...config }) {
    const { openBigtableDirectoryService } = await import('../../directory/bigtable.js')
    return openBigtableDirectoryService({
      ...config,
      ...(timeout !== undefined && { timeout: String(timeout / 1000) }),
    })
  },
}
