import { CastoreError } from '../errors.js'

/** Which adapter, and of which cloud. */
export type StorageKind = 'memory' | 'file' | 's3' | 'gcs' | 'azblob' | 'webdav'

/** What a storage URL says (spec 02 section 16.4). */
export interface StorageLocation {
  readonly kind: StorageKind
  /** The URL for messages: without query and credentials. */
  readonly name: string
  /** Decoded, without slashes at its ends; empty for the root of the store. */
  readonly base: string
  /** Bucket or container, of the clouds. */
  readonly bucket: string
  /** What the host of the URL tells of endpoint, region and account, or the credentials of an HTTP URL, in words of the adapter. */
  readonly config: Readonly<Record<string, string>>
  /** Pairs of the query. */
  readonly options: Readonly<Record<string, string>>
}

const AZURE_HOST = /^([a-z0-9]+)\.(?:blob|dfs)\.(core\.windows\.net|fabric\.microsoft\.com)$/
const S3_PATH_HOST = /^s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?$/
const S3_BUCKET_HOST = /^(.+)\.s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?$/
const R2_HOST = /^[a-z0-9]+(?:\.[a-z]+)?\.r2\.cloudflarestorage\.com$/

/** @throws CastoreError `invalid-input` for what is no storage URL; the message has no query and no credentials */
export function parseStorageUrl(text: string): StorageLocation {
  const shown = withoutSecrets(text)
  const refuse = (detail: string): never => {
    throw new CastoreError('invalid-input', `invalid object store URL '${shown}': ${detail}`)
  }
  if (!URL.canParse(text)) return refuse('expected a URL, such as file:///path or s3://bucket/prefix')
  const url = new URL(text)
  if (url.hash !== '') return refuse('expected no fragment')
  const options: Record<string, string> = {}
  for (const [key, value] of url.searchParams) {
    if (Object.hasOwn(options, key)) return refuse(`expected option '${key}' once`)
    options[key] = value
  }
  const path = components(url.pathname, refuse)
  const at = { name: shown, options, config: {}, bucket: '' } as const

  switch (url.protocol) {
    case 'memory:':
    case 'file:': {
      if (url.host !== '' || url.username !== '') return refuse('expected no host')
      if (!url.pathname.startsWith('/') && url.pathname !== '') return refuse('expected an absolute path')
      const memory = url.protocol === 'memory:'
      return {
        ...at,
        kind: memory ? 'memory' : 'file',
        name: memory ? 'memory' : shown,
        base: path.join('/'),
      }
    }
    case 's3:':
    case 's3a:':
      return { ...at, kind: 's3', bucket: onlyHost(url, 'bucket', refuse), base: path.join('/') }
    case 'gs:':
      return { ...at, kind: 'gcs', bucket: onlyHost(url, 'bucket', refuse), base: path.join('/') }
    case 'az:':
    case 'adl:':
    case 'azure:':
    case 'abfs:':
    case 'abfss:':
      return { ...at, kind: 'azblob', ...azureHost(url, refuse), base: path.join('/') }
    case 'https:':
    case 'http:':
      return { ...at, ...webHost(url, path, refuse) }
    default:
      return refuse(`unknown scheme '${url.protocol.slice(0, -1)}'`)
  }
}

type Refuse = (detail: string) => never

/** The components of a path: one slash at either end is let pass, as the reference does. */
function components(path: string, refuse: Refuse): string[] {
  const inner = path.replace(/^\//, '').replace(/\/$/, '')
  if (inner === '') return []
  return inner.split('/').map((component) => {
    const decoded = decode(component, refuse)
    if (decoded === '') refuse('expected no empty component in the path')
    if (decoded === '.' || decoded === '..') refuse(`expected no component '${decoded}' in the path`)
    for (const character of decoded) {
      if (character === '/' || character < ' ')
        refuse('expected no slash or control character in a component')
    }
    return decoded
  })
}

function decode(component: string, refuse: Refuse): string {
  try {
    return decodeURIComponent(component)
  } catch {
    return refuse('expected valid percent-encoding in the path')
  }
}

function onlyHost(url: URL, what: string, refuse: Refuse): string {
  if (url.username !== '' || url.password !== '')
    refuse('expected credentials in options, not before the host')
  if (url.port !== '') refuse('expected no port')
  if (url.hostname === '') refuse(`expected a ${what} as the host`)
  return url.hostname
}

function azureHost(url: URL, refuse: Refuse): Pick<StorageLocation, 'bucket' | 'config'> {
  if (url.username === '') return { bucket: onlyHost(url, 'container', refuse), config: {} }
  // abfss://container@account.dfs.core.windows.net/path
  const config = azureConfig(url.hostname)
  if (config === undefined || url.password !== '' || url.port !== '') {
    return refuse('expected container@account.blob.core.windows.net, or only a container')
  }
  return { bucket: decode(url.username, refuse), config }
}

/** The account and the blob endpoint behind a host of Azure; dfs hosts have one beside them. */
function azureConfig(host: string): Record<string, string> | undefined {
  const [, account, domain] = AZURE_HOST.exec(host) ?? []
  if (account === undefined) return undefined
  return { account_name: account, endpoint: `https://${account}.blob.${domain}` }
}

function webHost(
  url: URL,
  path: readonly string[],
  refuse: Refuse,
): Pick<StorageLocation, 'kind' | 'bucket' | 'base' | 'config'> {
  const cloud = url.protocol === 'https:' ? cloudHost(url.hostname) : undefined
  if (cloud === undefined) {
    const config: Record<string, string> = { endpoint: url.origin }
    if (url.username !== '') config['username'] = decode(url.username, refuse)
    if (url.password !== '') config['password'] = decode(url.password, refuse)
    return { kind: 'webdav', bucket: '', base: path.join('/'), config }
  }
  onlyHost(url, 'bucket', refuse)
  const [bucket, rest] = cloud.bucket === undefined ? [path[0], path.slice(1)] : [cloud.bucket, path]
  if (bucket === undefined) return refuse('expected a bucket or container as the first component of the path')
  return { kind: cloud.kind, bucket, base: rest.join('/'), config: cloud.config }
}

interface CloudHost {
  readonly kind: 's3' | 'azblob'
  /** Undefined where it is in the path. */
  readonly bucket: string | undefined
  readonly config: Record<string, string>
}

function cloudHost(host: string): CloudHost | undefined {
  const azure = azureConfig(host)
  if (azure !== undefined) return { kind: 'azblob', bucket: undefined, config: azure }
  if (R2_HOST.test(host)) {
    return { kind: 's3', bucket: undefined, config: { endpoint: `https://${host}`, region: 'auto' } }
  }
  const inPath = S3_PATH_HOST.exec(host)
  if (inPath !== null) return { kind: 's3', bucket: undefined, config: s3Config(host, inPath[1]) }
  const inHost = S3_BUCKET_HOST.exec(host)
  if (inHost === null) return undefined
  const [, bucket = '', region] = inHost
  return { kind: 's3', bucket, config: s3Config(host.slice(bucket.length + 1), region) }
}

function s3Config(host: string, region = 'us-east-1'): Record<string, string> {
  return { endpoint: `https://${host}`, region }
}

/** For messages, also of what is no URL at all. */
function withoutSecrets(text: string): string {
  const bare = text.replace(/[?#].*$/s, '').replace(/^([a-z0-9+.-]+:\/\/)([^/]*)@/i, (_, scheme, user) =>
    // The name before the @ of Azure is the container; anything with a password is not.
    /^abfss?:|^az|^adl:/i.test(scheme) && !user.includes(':') ? `${scheme}${user}@` : scheme,
  )
  return bare.length > 300 ? `${bare.slice(0, 300)}…` : bare
}
