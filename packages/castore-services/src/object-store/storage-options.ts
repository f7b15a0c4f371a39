import { CastoreError } from '../errors.js'
import type { StorageKind, StorageLocation } from './storage-url.js'

/** What of the options is for the adapter itself, whatever the cloud. */
export interface ClientOptions {
  /** Requests at once. */
  readonly concurrency: number
  /** How often a failed request is tried again. */
  readonly maxRetries: number
  /** The pause before the first of these, in milliseconds. */
  readonly retryDelay: number
  /** How long one request may take, in milliseconds. */
  readonly timeout: number
  /** Whether the store is told to write only what is not there. */
  readonly conditionalPut: boolean
}

/** Options in the words of opendal. */
export interface StorageConfig {
  readonly client: ClientOptions
  readonly config: Record<string, string>
  /** Values that no message may contain. */
  readonly secrets: readonly string[]
}

const DEFAULTS: ClientOptions = {
  concurrency: 32,
  maxRetries: 6,
  retryDelay: 100,
  timeout: 60_000,
  conditionalPut: true,
}

/** Names that the reference knows, without their prefix, by what opendal calls them. */
const S3: Readonly<Record<string, readonly string[]>> = {
  access_key_id: ['access_key_id'],
  secret_access_key: ['secret_access_key'],
  session_token: ['session_token', 'token'],
  region: ['region', 'default_region'],
  endpoint: ['endpoint', 'endpoint_url', 'endpoint_url_s3'],
  enable_virtual_host_style: ['virtual_hosted_style_request'],
  allow_anonymous: ['skip_signature'],
  server_side_encryption: ['server_side_encryption'],
  server_side_encryption_aws_kms_key_id: ['sse_kms_key_id'],
  checksum_algorithm: ['checksum_algorithm'],
  role_arn: ['role_arn'],
  external_id: ['external_id'],
  default_storage_class: ['storage_class'],
}
const GCS: Readonly<Record<string, readonly string[]>> = {
  credential_path: ['service_account', 'service_account_path', 'application_credentials'],
  credential: ['service_account_key'],
  endpoint: ['endpoint', 'base_url'],
  allow_anonymous: ['skip_signature'],
  token: ['token'],
  default_storage_class: ['storage_class'],
}
const AZBLOB: Readonly<Record<string, readonly string[]>> = {
  account_name: ['account_name'],
  account_key: ['account_key', 'access_key', 'master_key'],
  sas_token: ['sas_key', 'sas_token'],
  endpoint: ['endpoint'],
}
const WEBDAV: Readonly<Record<string, readonly string[]>> = {
  username: ['username'],
  password: ['password'],
  token: ['token'],
}

const WORDS: Readonly<Record<StorageKind, Readonly<Record<string, readonly string[]>>>> = {
  memory: {},
  file: {},
  s3: S3,
  gcs: GCS,
  azblob: AZBLOB,
  webdav: WEBDAV,
}
const PREFIXES: Readonly<Record<StorageKind, readonly string[]>> = {
  memory: [],
  file: [],
  s3: ['aws_', ''],
  gcs: ['google_', ''],
  azblob: ['azure_storage_', 'azure_', ''],
  webdav: [''],
}

/** Which of opendal's options are credentials. */
const SECRET = /key|secret|token|password|credential/

/** The well-known credentials of the emulator; no secret. */
const AZURE_EMULATOR = {
  account_name: 'devstoreaccount1',
  account_key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
}

/**
 * Translates options from the words of the reference (spec 02 section 16.4).
 *
 * @throws CastoreError `invalid-input` with the name of an option that is unknown, comes twice or has no sense
 */
export function storageConfig(
  location: StorageLocation,
  options: Readonly<Record<string, string>>,
): StorageConfig {
  const config: Record<string, string> = { ...location.config }
  const client: Record<keyof ClientOptions, number | boolean> = { ...DEFAULTS }
  const seen = new Map<string, string>()
  let allowHttp = true
  let emulator = false
  const refuse: Refuse = (key, detail) => {
    throw new CastoreError(
      'invalid-input',
      `invalid object store option '${key}' for ${location.name}: ${detail}`,
    )
  }
  const once = (key: string, meaning: string) => {
    const before = seen.get(meaning)
    if (before !== undefined) refuse(key, `it means the same as '${before}', which is given too`)
    seen.set(meaning, key)
  }

  for (const [key, value] of [...Object.entries(location.options), ...Object.entries(options)]) {
    const word = withoutPrefix(location.kind, key.toLowerCase())
    const meaning = word === undefined ? undefined : meaningOf(location.kind, word)
    if (word === undefined || location.kind === 'memory' || location.kind === 'file') {
      refuse(key, 'unknown option')
    } else if (word in CLIENT) {
      const [name, parse] = CLIENT[word]!
      once(key, name)
      client[name] = parse(value, (detail) => refuse(key, detail))
    } else if (word === 'allow_http') {
      once(key, word)
      allowHttp = truth(value, (detail) => refuse(key, detail))
    } else if (word === 'use_emulator' && location.kind === 'azblob') {
      once(key, word)
      emulator = truth(value, (detail) => refuse(key, detail))
    } else if (word === 'bucket' || word === 'bucket_name' || word === 'container_name') {
      refuse(key, 'the URL says which bucket or container')
    } else if (meaning === undefined) {
      refuse(key, 'unknown option')
    } else {
      once(key, meaning)
      config[meaning] = TRUTHS.has(meaning) ? String(truth(value, (detail) => refuse(key, detail))) : value
    }
  }

  if (emulator) Object.assign(config, { ...AZURE_EMULATOR, ...config })
  complete(location, config)
  if (!allowHttp && config['endpoint']?.startsWith('http:')) {
    refuse('allow_http', 'it is false, and the endpoint is http')
  }
  const secrets = Object.entries(config).flatMap(([key, value]) => (SECRET.test(key) ? [value] : []))
  return { client: client as unknown as ClientOptions, config, secrets }
}

type Refuse = (key: string, detail: string) => never
type RefuseValue = (detail: string) => never

const TRUTHS = new Set(['enable_virtual_host_style', 'allow_anonymous'])

const CLIENT: Readonly<
  Record<string, readonly [keyof ClientOptions, (value: string, refuse: RefuseValue) => number | boolean]>
> = {
  max_concurrency: ['concurrency', (value, refuse) => integer(value, 1, 1024, refuse)],
  max_retries: ['maxRetries', (value, refuse) => integer(value, 0, 100, refuse)],
  retry_delay: ['retryDelay', duration],
  timeout: ['timeout', duration],
  conditional_put: [
    'conditionalPut',
    (value, refuse) =>
      value === 'etag' || (value !== 'disabled' && refuse(`expected 'etag' or 'disabled', got '${value}'`)),
  ],
}

/** What only shows when all options are known. */
function complete({ kind, bucket, base }: StorageLocation, config: Record<string, string>): void {
  if (kind !== 'webdav') config[kind === 'azblob' ? 'container' : 'bucket'] = bucket
  config['root'] = `/${base}`
  if (kind === 'azblob') {
    config['account_name'] ??= process.env['AZURE_STORAGE_ACCOUNT_NAME'] ?? ''
    if (config['account_name'] === '') delete config['account_name']
    else config['endpoint'] ??= `https://${config['account_name']}.blob.core.windows.net`
  }
  // Without a signature nobody has to be asked for credentials, which takes seconds where nobody answers.
  if (config['allow_anonymous'] === 'true') {
    config['disable_config_load'] = 'true'
    config[kind === 's3' ? 'disable_ec2_metadata' : 'disable_vm_metadata'] = 'true'
  }
}

function withoutPrefix(kind: StorageKind, key: string): string | undefined {
  const prefix = PREFIXES[kind].find((prefix) => key.startsWith(prefix))
  return prefix === undefined ? undefined : key.slice(prefix.length)
}

function meaningOf(kind: StorageKind, word: string): string | undefined {
  return Object.entries(WORDS[kind]).find(([, words]) => words.includes(word))?.[0]
}

function truth(value: string, refuse: RefuseValue): boolean {
  if (['true', '1', 'yes', 'on'].includes(value.toLowerCase())) return true
  if (['false', '0', 'no', 'off'].includes(value.toLowerCase())) return false
  return refuse('expected true or false')
}

function integer(value: string, low: number, high: number, refuse: RefuseValue): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  return number >= low && number <= high ? number : refuse(`expected an integer from ${low} to ${high}`)
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, sec: 1000, m: 60_000, min: 60_000 }

/** @returns milliseconds */
function duration(value: string, refuse: RefuseValue): number {
  const [, number, unit = ''] = /^(\d{1,9}) ?([a-z]+)$/.exec(value) ?? []
  const milliseconds = Number(number) * (UNITS[unit] ?? Number.NaN)
  return milliseconds > 0 && milliseconds <= 3_600_000
    ? milliseconds
    : refuse('expected a time such as 500ms, 30s or 2m')
}
