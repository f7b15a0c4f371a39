import { UsageError } from '../messages.js'
import type { CacheOptions } from './options.js'

/** One of the caches that a process serves, with all that it is to know. It can be sent to another process as JSON. */
export interface CachePlan extends CacheOptions {
  /** Where it is found: `/team`; empty for the root. */
  readonly prefix: string
  /** The store that it has for itself. Default: that of the command. */
  readonly store?: string
}

/** Values as a file or a flag has them, in the words of options. */
type Raw = Readonly<Record<string, unknown>>

/** Folders of what a cache at the root serves. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['healthz', 'metrics', 'nix-cache-info', 'nix'],
  ...['nar', 'log', 'realisations', 'debuginfo'],
])
const MAX_CACHES = 256

/**
 * The caches that the options ask for: one at the root unless `--cache` or `--cache-config` name others. What one of
 * them does not say it takes from the other options, but for `--cache-files`, since each has to have its own.
 *
 * @throws UsageError; ConfigError with the line of a file that is no TOML
 */
export async function cachePlans(options: CacheOptions): Promise<readonly CachePlan[]> {
  const { cache: flags = [], cacheConfig } = options
  const inherited = inheritable(options)
  if (flags.length === 0 && cacheConfig === undefined) {
    return [{ prefix: '', ...inherited, ...defined({ cacheFiles: options.cacheFiles }) }]
  }
  if (options.cacheFiles !== undefined) {
    throw new UsageError('--cache-files is for one cache: give each of several its own, as cache-files')
  }
  const raw = flags.map(fromFlag)
  if (cacheConfig !== undefined) raw.push(...(await fromFile(cacheConfig)))
  const plans = new Map<string, CachePlan>()
  for (const { name, where, values } of raw) {
    const prefix = prefixOf(name, where)
    if (plans.has(prefix)) throw new UsageError(`${where}: there is a cache at ${prefix || '/'} already`)
    const own = readValues(values, where)
    if (own.store === undefined && (own.keepUsedWithin ?? own.maxSize) !== undefined) {
      throw new UsageError(`${where}: keep-used-within and max-size are for a cache with a store of its own`)
    }
    plans.set(prefix, { ...inherited, ...own, prefix })
  }
  if (plans.size === 0) throw new UsageError(`${cacheConfig}: expected a table [cache.NAME], got none`)
  if (plans.size > MAX_CACHES) {
    throw new UsageError(`expected at most ${MAX_CACHES} caches, got ${plans.size}`)
  }
  return [...plans.values()]
}

interface Named {
  readonly name: string
  /** For messages. */
  readonly where: string
  readonly values: Raw
}

function inheritable(options: CacheOptions): Partial<CachePlan> {
  const { priority, compression, signKey, requireSignature, tokenFile, publicRead, readOnly, page } = options
  const { keepUsedWithin, maxSize } = options
  return defined({
    ...{ priority, compression, signKey, requireSignature },
    ...{ tokenFile, publicRead, readOnly, page, keepUsedWithin, maxSize },
  })
}

/** Without what is undefined: it would stand before what is inherited. */
function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}

function fromFlag(text: string): Named {
  const mark = text.indexOf('?')
  const name = mark < 0 ? text : text.slice(0, mark)
  const where = `--cache ${name}`
  const values: Record<string, unknown> = {}
  // Not as forms have it: keys in base64 have plus signs.
  for (const part of mark < 0 || mark === text.length - 1 ? [] : text.slice(mark + 1).split('&')) {
    const equals = part.indexOf('=')
    const key = equals < 0 ? part : part.slice(0, equals)
    const value = equals < 0 ? '' : decoded(part.slice(equals + 1), where)
    const isList = LISTS.has(key)
    if (!isList && Object.hasOwn(values, key)) throw new UsageError(`${where}: ${key} is there twice`)
    values[key] = isList ? [...((values[key] as string[] | undefined) ?? []), value] : value
  }
  return { name, where, values }
}

function decoded(text: string, where: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new UsageError(`${where}: expected percent-encoded text behind the question mark`)
  }
}

async function fromFile(file: string): Promise<Named[]> {
  const { parseToml, readCompositionText } = await import('@neve/castore-services/composition')
  const data = parseToml(await readCompositionText(file), file) as Raw
  for (const key of Object.keys(data)) {
    if (key !== 'cache') throw new UsageError(`${file}: unknown table '${key}', expected [cache.NAME]`)
  }
  return Object.entries(table(data['cache'] ?? {}, file)).map(([name, values]) => {
    const where = `${file}: cache.${name}`
    return { name, where, values: table(values, where) }
  })
}

function table(value: unknown, where: string): Raw {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Raw
  throw new UsageError(`${where}: expected a table`)
}

function prefixOf(name: string, where: string): string {
  const path = name.replace(/^\//, '')
  if (path === '') return ''
  const names = path.split('/')
  if (path.length > 200 || !names.every((part) => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part))) {
    throw new UsageError(`${where}: expected a path of letters, digits and ._- such as /team`)
  }
  if (RESERVED.has(names[0]!) || /\.(?:narinfo|ls)$/.test(path)) {
    throw new UsageError(`${where}: ${names[0]} means something else in a binary cache`)
  }
  return `/${path}`
}

type Reader = (value: unknown) => unknown

const text: Reader = (value) => (typeof value === 'string' && value !== '' ? value : undefined)
const yesOrNo: Reader = (value) =>
  typeof value === 'boolean'
    ? value
    : value === 'true' || value === ''
      ? true
      : value === 'false'
        ? false
        : undefined
const texts: Reader = (value) => {
  const list = Array.isArray(value) ? value : [value]
  return list.length > 0 && list.every((one) => text(one) !== undefined) ? list : undefined
}
const priority: Reader = (value) =>
  /^\d{1,6}$/.test(String(value)) && ['string', 'number', 'bigint'].includes(typeof value)
    ? Number(value)
    : undefined
const compression: Reader = (value) =>
  ['auto', 'zstd', 'none'].includes(String(value)) ? String(value) : undefined

/** What may be said of a cache: the name of the option, what it is called here, and what is expected. */
const KEYS: Readonly<Record<string, readonly [keyof CachePlan, Reader, string]>> = {
  store: ['store', text, 'the address of a store'],
  priority: ['priority', priority, 'a number from 0 to 999999'],
  compression: ['compression', compression, 'auto, zstd or none'],
  'sign-key': ['signKey', texts, 'a file, or several'],
  'require-signature': ['requireSignature', texts, 'a public key, or several'],
  'cache-files': ['cacheFiles', text, 'an address'],
  'token-file': ['tokenFile', text, 'a file'],
  'public-read': ['publicRead', yesOrNo, 'true or false'],
  'read-only': ['readOnly', yesOrNo, 'true or false'],
  page: ['page', yesOrNo, 'true or false'],
  'keep-used-within': ['keepUsedWithin', text, 'a duration such as 30d'],
  'max-size': ['maxSize', text, 'a size such as 100G'],
}
const LISTS: ReadonlySet<string> = new Set(['sign-key', 'require-signature'])

function readValues(values: Raw, where: string): Partial<CachePlan> {
  const plan: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(KEYS, key)) {
      const known = Object.keys(KEYS).join(', ')
      throw new UsageError(`${where}: unknown key '${key.slice(0, 80)}', expected one of ${known}`)
    }
    const [name, read, expected] = KEYS[key]!
    plan[name] = read(value)
    if (plan[name] === undefined) throw new UsageError(`${where}: ${key}: expected ${expected}`)
  }
  return plan
}
