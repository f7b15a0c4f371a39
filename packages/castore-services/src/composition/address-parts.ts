import { ConfigError } from './errors.js'

/** The parts of an address that a type has no use for. */
export type UnusedPart = 'host' | 'path' | 'query'

/**
 * Refuses what a type has no use for; user, password and fragment always.
 *
 * @throws ConfigError
 */
export function refuseParts(url: URL, unused: readonly UnusedPart[]): void {
  if (url.username !== '' || url.password !== '') throw new ConfigError('user and password may not be set')
  if (url.hash !== '') throw new ConfigError('fragment may not be set')
  if (unused.includes('host') && url.host !== '') throw new ConfigError('host may not be set')
  if (unused.includes('path') && url.pathname !== '') throw new ConfigError('path may not be set')
  if (unused.includes('query') && url.search !== '') {
    const [key] = url.searchParams.keys()
    throw new ConfigError('query may not be set', key === undefined ? {} : { key: key.slice(0, 40) })
  }
}

/** How a value of a query becomes one of a configuration. */
export type QueryValue = 'text' | 'integer' | 'boolean' | 'list'

/**
 * The query of an address as a configuration.
 *
 * @param values how to read keys; all others are text
 * @throws ConfigError for a key that is there twice and is no list, or a value that cannot be read
 */
export function queryConfig(
  url: URL,
  values: Readonly<Record<string, QueryValue>> = {},
): Record<string, unknown> {
  const config = new Map<string, unknown>()
  for (const key of new Set(url.searchParams.keys())) {
    const texts = url.searchParams.getAll(key)
    const form = Object.hasOwn(values, key) ? values[key] : 'text'
    if (form !== 'list' && texts.length > 1) throw new ConfigError('is there twice', { key })
    config.set(key, form === 'list' ? texts : readValue(key, texts[0]!, form))
  }
  return Object.fromEntries(config)
}

function readValue(key: string, text: string, form: QueryValue | undefined): unknown {
  if (form === 'integer') {
    if (!/^\d{1,15}$/.test(text)) throw new ConfigError('expected a whole number', { key })
    return Number(text)
  }
  if (form === 'boolean') {
    if (text !== 'true' && text !== 'false') throw new ConfigError('expected true or false', { key })
    return text === 'true'
  }
  return text
}

/**
 * The path of an address, decoded.
 *
 * @throws ConfigError when it is not UTF-8, or has a NUL in it
 */
export function decodePath(url: URL): string {
  let path: string
  try {
    path = decodeURIComponent(url.pathname)
  } catch {
    throw new ConfigError('path is not percent-encoded UTF-8')
  }
  if (path.includes('\0')) throw new ConfigError('path has a NUL in it')
  return path
}
