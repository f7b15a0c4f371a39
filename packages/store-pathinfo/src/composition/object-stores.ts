import {
  ConfigError,
  type ObjectStoreConfig,
  parseComposition,
  parseToml,
  readCompositionText,
  resolveSecret,
  type SecretText,
} from '@neve/castore-services/composition'
import type { RetentionRules } from '../gc/retention.js'
import { storeRegistry } from './index.js'
import { objectStorePathInfosSchema } from './path-info-types.js'

/** An object store that is a whole store of a composition, and what it keeps when garbage is collected in it. */
export interface ComposedObjectStore {
  /** `objectstore+s3://bucket/prefix?…`, with all options, secret or not. */
  readonly address: string
  readonly rules: RetentionRules
}

type Instances = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/**
 * The object stores of the instances of path infos in a composition file that say what is kept in them. Nothing is opened;
 * secrets are looked up.
 *
 * @throws ConfigError for a file that is no composition; where blobs and directories are not in the same place, since what
 *   is there would be taken for garbage; and where two instances in one place are to keep other things. CompositionError
 *   `secret` for a secret that is not there
 */
export async function objectStoresIn(file: string): Promise<readonly ComposedObjectStore[]> {
  const text = await readCompositionText(file)
  parseComposition(text, { file, registry: storeRegistry() })
  const tables = parseToml(text, file) as Readonly<Record<string, Instances | undefined>>
  const { pathinfoservices = {} } = tables
  const [blobs, directories] = ['blobservices', 'directoryservices'].map((kind) => placesOf(tables[kind]))
  const stores = new Map<string, ComposedObjectStore>()
  for (const [instance, { type, ...config }] of Object.entries(pathinfoservices)) {
    if (type !== 'objectstore') continue
    const { keep_used_within, max_size, ...place } = objectStorePathInfosSchema.parse(config)
    if (keep_used_within === undefined && max_size === undefined) continue
    const where = { file, table: 'pathinfoservices', instance }
    const key = placeKey(place)
    if (!blobs!.has(key) || !directories!.has(key)) {
      const missing = blobs!.has(key) ? 'directories' : 'blobs'
      const message = `what is kept can be said where blobs and directories are in the same place, as instances of their own: there are no ${missing}`
      throw new ConfigError(message, where)
    }
    const rules = { keepUsedWithin: keep_used_within, maxSize: max_size }
    const other = stores.get(key)
    if (other !== undefined && JSON.stringify(other.rules) !== JSON.stringify(rules)) {
      throw new ConfigError('another instance keeps other things in the same place', where)
    }
    stores.set(key, { address: await addressOf(place), rules })
  }
  return [...stores.values()]
}

function placesOf(instances: Instances = {}): ReadonlySet<string> {
  const places = Object.values(instances).filter(({ type }) => type === 'objectstore')
  return new Set(places.map((config) => placeKey(config as unknown as ObjectStoreConfig)))
}

function placeKey({ object_store_url: url, object_store_options: options = {} }: ObjectStoreConfig): string {
  return JSON.stringify([url, Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))])
}

async function addressOf(config: ObjectStoreConfig): Promise<string> {
  const resolve = (secret: SecretText): Promise<string> => resolveSecret(secret, process.env)
  const [place = '', query = ''] = (await resolve(config.object_store_url)).split('?')
  const options = new URLSearchParams(query)
  for (const [name, value] of Object.entries(config.object_store_options ?? {})) {
    options.set(name, await resolve(value))
  }
  const rest = options.toString()
  return `objectstore+${place}${rest === '' ? '' : `?${rest}`}`
}
