import { z } from 'zod'
import { CastoreError } from '../../errors.js'

const NAME = /^[A-Za-z0-9][-_.:A-Za-z0-9]*$/
const FAMILY = /^[_A-Za-z0-9][-_.A-Za-z0-9]*$/

const name = z.string().regex(NAME, 'expected letters, digits and - _ . :')
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
const channels = z.union([
  z.number(),
  z
    .string()
    .regex(/^[0-9]+$/, 'expected a whole number')
    .transform(Number),
])

/**
 * The configuration of a Bigtable directory service (spec 03 section 9.2). Unknown keys are refused. Flags and numbers
 * may be text, as they are in a URL.
 */
export const bigtableConfigSchema = z.strictObject({
  /** The Google Cloud project. */
  project_id: name,
  /** The Bigtable instance. */
  instance_name: name,
  /** The table, which has to exist. */
  table_name: name,
  /** The column family, which has to exist. */
  family_name: z.string().regex(FAMILY, 'expected letters, digits and - _ .'),
  /** Whether to refuse writes, and ask for credentials that can only read. Default: false. */
  is_read_only: flag.default(false),
  /** How many connections to share the calls among, 1 to 64. Default: 4. */
  channel_size: channels.pipe(z.number().int().min(1).max(64)).default(4),
  /** How long a request may take, in whole seconds, as text; null for no limit. Default: `4`. */
  timeout: z
    .string()
    .regex(/^[1-9][0-9]{0,5}$/, 'expected whole seconds as text, 1 to 999999')
    .nullable()
    .default('4'),
  /** The application profile, which says how requests are routed. Default: `default`. */
  app_profile_id: name.default('default'),
})

/** What {@link bigtableConfigSchema} takes. */
export type BigtableConfigInput = z.input<typeof bigtableConfigSchema>
/** What {@link bigtableConfigSchema} gives: every key has its value. */
export type BigtableConfig = z.output<typeof bigtableConfigSchema>

/** @throws CastoreError `invalid-request` that names the key */
export function parseBigtableConfig(input: unknown): BigtableConfig {
  const result = bigtableConfigSchema.safeParse(input)
  if (result.success) return result.data
  throw new CastoreError('invalid-request', `failed to parse parameters: ${describe(result.error)}`, {
    cause: result.error,
  })
}

/**
 * The configuration behind a `bigtable:` URL, not checked yet: the host is the instance, the options are the keys.
 *
 * @throws CastoreError `invalid-request` for a URL without a host, with anything but host and options, or with an option
 *   given twice
 */
export function bigtableConfigFromUrl(url: URL | string): Record<string, string> {
  const parsed = parseUrl(url)
  const refuse = (detail: string) => new CastoreError('invalid-request', `invalid bigtable URL: ${detail}`)
  if (parsed.protocol !== 'bigtable:') throw refuse(`expected bigtable:, got ${parsed.protocol}`)
  if (parsed.username !== '' || parsed.password !== '') throw refuse('user and password may not be set')
  if (parsed.port !== '') throw refuse('port may not be set')
  if (parsed.hostname === '') throw refuse('instance name missing')
  if (parsed.pathname !== '') throw refuse(`path may not be set, got '${parsed.pathname}'`)
  if (parsed.hash !== '') throw refuse('fragment may not be set')
  const config: Record<string, string> = { instance_name: decodeURIComponent(parsed.hostname) }
  for (const [key, value] of parsed.searchParams) {
    if (Object.hasOwn(config, key)) throw refuse(`'${key}' is there twice`)
    config[key] = value
  }
  return config
}

function parseUrl(url: URL | string): URL {
  try {
    return new URL(url)
  } catch (cause) {
    throw new CastoreError('invalid-request', 'unable to parse bigtable URL', { cause })
  }
}

function describe(error: z.ZodError): string {
  return error.issues
    .map((issue) => {
      if (issue.code === 'unrecognized_keys') return `unknown key ${issue.keys.join(', ')}`
      return `${issue.path.join('.')}: ${issue.message}`
    })
    .join('; ')
}
