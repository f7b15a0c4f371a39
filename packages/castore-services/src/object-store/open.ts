import { CastoreError } from '../errors.js'
import { isKey, MAX_KEY_LENGTH } from './keys.js'
import { MemoryObjectStore } from './memory.js'
import type { ObjectStore } from './object-store.js'
import { redact } from './opendal-failure.js'
import { type StorageConfig, storageConfig } from './storage-options.js'
import { parseStorageUrl, type StorageKind, type StorageLocation } from './storage-url.js'

/** Room for the keys of the services below the base path of a URL. */
const MAX_BASE_LENGTH = MAX_KEY_LENGTH - 256

/**
 * Opens the object store that a URL names (spec 02 section 16.4): `memory:`, `file:`, `s3:`, `gs:`, `az:`, `https:` and
 * the others that `docs/backends.md` lists. Keys are relative to the path of the URL. Nothing is contacted.
 *
 * Options may be in the query of the URL too. Their names are those of the reference (`aws_access_key_id`,
 * `google_service_account`, `azure_storage_account_name`, …), in any case.
 *
 * @throws CastoreError `invalid-input` for a URL or an option that is refused, with its name and without its value
 */
export async function openObjectStore(
  url: string,
  options: Readonly<Record<string, string>> = {},
): Promise<ObjectStore> {
  const location = parseStorageUrl(url)
  const config = storageConfig(location, options)
  assertBase(location)
  switch (location.kind) {
    case 'memory':
      return new MemoryObjectStore()
    case 'file': {
      const { FileObjectStore } = await import('./files.js')
      return new FileObjectStore({ root: `/${location.base}` })
    }
    default:
      return openCloud(location, location.kind, config)
  }
}

function assertBase({ kind, base, name }: StorageLocation): void {
  // OpenDAL damages other characters in keys of GCS.
  if (kind === 'gcs' && base !== '' && !isKey(base)) {
    const detail = 'expected a path of A-Z a-z 0-9 . _ - and / only'
    throw new CastoreError('invalid-input', `invalid object store URL '${name}': ${detail}`)
  }
  if (kind !== 'file' && base.length > MAX_BASE_LENGTH) {
    const detail = `expected a path of at most ${MAX_BASE_LENGTH} characters`
    throw new CastoreError('invalid-input', `invalid object store URL '${name}': ${detail}`)
  }
}

async function openCloud(
  location: StorageLocation,
  scheme: StorageKind,
  { client, config, secrets }: StorageConfig,
): Promise<ObjectStore> {
  const [{ Operator, TimeoutLayer }, { OpendalObjectStore }] = await Promise.all([
    import('opendal'),
    import('./opendal.js'),
  ])
  const open = (words: Record<string, string>) => {
    const limit = new TimeoutLayer()
    limit.timeout = client.timeout
    limit.ioTimeout = client.timeout
    return new Operator(scheme, words).layer(limit.build())
  }
  const all = [...secrets, ...environmentSecrets()]
  try {
    return new OpendalObjectStore({
      operator: openWithRegion(open, config),
      name: location.name,
      client,
      secrets: all,
      // Others drop the condition, or know none.
      comparesTags: scheme === 's3',
      deletesMany: scheme === 's3' || scheme === 'azblob',
    })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const detail = redact(message.slice(message.indexOf(' => ') + 1).replace(/^=> /, ''), all)
    throw new CastoreError('invalid-input', `cannot open object store ${location.name}: ${detail}`)
  }
}

/** The region may come from the options, the environment or a profile; where none says, it is the reference's default. */
function openWithRegion<T>(open: (config: Record<string, string>) => T, config: Record<string, string>): T {
  try {
    return open(config)
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('region is missing'))) throw error
    return open({ ...config, region: 'us-east-1' })
  }
}

function environmentSecrets(): string[] {
  const names = [
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'AZURE_STORAGE_ACCOUNT_KEY',
    'AZURE_CLIENT_SECRET',
  ]
  return names.flatMap((name) => process.env[name] ?? [])
}
