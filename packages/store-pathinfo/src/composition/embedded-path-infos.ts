import {
  ConfigError,
  parseComposition,
  parseToml,
  readCompositionText,
} from '@neve/castore-services/composition'
import type { RetentionRules } from '../gc/retention.js'
import { storeRegistry } from './index.js'
import { embeddedPathInfosSchema } from './path-info-types.js'

/** An embedded store that path infos of a composition lie in, and what it keeps when garbage is collected in it. */
export interface ComposedEmbeddedStore {
  /** The folder. */
  readonly path: string
  readonly rules: RetentionRules
}

/**
 * The embedded stores of the instances of path infos in a composition file. Nothing is opened.
 *
 * @throws ConfigError for a file that is no composition, and where two instances in one folder are to keep other things
 */
export async function embeddedPathInfosIn(file: string): Promise<readonly ComposedEmbeddedStore[]> {
  const text = await readCompositionText(file)
  parseComposition(text, { file, registry: storeRegistry() })
  const { pathinfoservices: instances = {} } = parseToml(text, file) as {
    readonly pathinfoservices?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
  const stores = new Map<string, ComposedEmbeddedStore>()
  for (const [instance, { type, ...config }] of Object.entries(instances)) {
    if (type !== 'embedded') continue
    const { path, read_only, keep_used_within, max_size } = embeddedPathInfosSchema.parse(config)
    if (read_only === true) continue
    const rules = { keepUsedWithin: keep_used_within, maxSize: max_size }
    const other = stores.get(path)
    if (other !== undefined && JSON.stringify(other.rules) !== JSON.stringify(rules)) {
      const message = `another instance keeps other things in ${path}`
      throw new ConfigError(message, { file, table: 'pathinfoservices', instance })
    }
    stores.set(path, { path, rules })
  }
  return [...stores.values()]
}
