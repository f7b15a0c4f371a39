import { FileObjectStore, MemoryObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { storageConfig } from '../src/object-store/storage-options.js'
import { parseStorageUrl } from '../src/object-store/storage-url.js'

const AZURE = { azure_storage_account_name: 'me', azure_storage_account_key: 'c2VjcmV0' }

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('storage URLs', () => {
  it.each<[url: string, expected: object]>([
    ['memory:', { kind: 'memory', base: '' }],
    ['memory://', { kind: 'memory', base: '' }],
    ['memory:///', { kind: 'memory', base: '' }],
    ['memory:///a/b', { kind: 'memory', base: 'a/b' }],
    ['file:///foo/bar', { kind: 'file', base: 'foo/bar', name: 'file:///foo/bar' }],
    ['file:///foo/bar/', { kind: 'file', base: 'foo/bar' }],
    ['file:///foo%20bar/%C3%A4', { kind: 'file', base: 'foo bar/ä' }],
    ['file:///', { kind: 'file', base: '' }],
    ['s3://bucket', { kind: 's3', bucket: 'bucket', base: '' }],
    ['s3://bucket/path', { kind: 's3', bucket: 'bucket', base: 'path', name: 's3://bucket/path' }],
    ['s3a://bucket/a/b', { kind: 's3', bucket: 'bucket', base: 'a/b' }],
    ['gs://bucket/path', { kind: 'gcs', bucket: 'bucket', base: 'path' }],
    ['az://container/path', { kind: 'azblob', bucket: 'container', base: 'path' }],
    ['adl://container/path', { kind: 'azblob', bucket: 'container', base: 'path' }],
    ['azure://container/path', { kind: 'azblob', bucket: 'container', base: 'path' }],
    ['abfs://container/path', { kind: 'azblob', bucket: 'container', base: 'path' }],
    ['abfss://container/path', { kind: 'azblob', bucket: 'container', base: 'path' }],
    [
      'abfss://container@me.dfs.core.windows.net/path',
      {
        kind: 'azblob',
        bucket: 'container',
        base: 'path',
        config: { account_name: 'me', endpoint: 'https://me.blob.core.windows.net' },
      },
    ],
    [
      'https://me.blob.core.windows.net/container/path',
      {
        kind: 'azblob',
        bucket: 'container',
        base: 'path',
        config: { account_name: 'me', endpoint: 'https://me.blob.core.windows.net' },
      },
    ],
    [
      'https://me.dfs.fabric.microsoft.com/container',
      {
        kind: 'azblob',
        bucket: 'container',
        base: '',
        config: { account_name: 'me', endpoint: 'https://me.blob.fabric.microsoft.com' },
      },
    ],
    [
      'https://s3.eu-west-1.amazonaws.com/bucket/path',
      {
        kind: 's3',
        bucket: 'bucket',
        base: 'path',
        config: { endpoint: 'https://s3.eu-west-1.amazonaws.com', region: 'eu-west-1' },
      },
    ],
    [
      'https://s3.amazonaws.com/bucket',
      { kind: 's3', bucket: 'bucket', config: { endpoint: 'https://s3.amazonaws.com', region: 'us-east-1' } },
    ],
    [
      'https://my.bucket.s3.eu-west-1.amazonaws.com/path/more',
      {
        kind: 's3',
        bucket: 'my.bucket',
        base: 'path/more',
        config: { endpoint: 'https://s3.eu-west-1.amazonaws.com', region: 'eu-west-1' },
      },
    ],
    [
      'https://bucket.s3.amazonaws.com',
      { kind: 's3', bucket: 'bucket', config: { endpoint: 'https://s3.amazonaws.com', region: 'us-east-1' } },
    ],
    [
      'https://abc123.r2.cloudflarestorage.com/bucket/path',
      {
        kind: 's3',
        bucket: 'bucket',
        base: 'path',
        config: { endpoint: 'https://abc123.r2.cloudflarestorage.com', region: 'auto' },
      },
    ],
    ['https://abc123.eu.r2.cloudflarestorage.com/bucket', { kind: 's3', bucket: 'bucket' }],
    [
      'https://localhost:8080/some-path',
      { kind: 'webdav', base: 'some-path', config: { endpoint: 'https://localhost:8080' } },
    ],
    ['http://host.example/', { kind: 'webdav', base: '', config: { endpoint: 'http://host.example' } }],
    [
      'http://me:hush%3Ahush@host.example/a',
      {
        kind: 'webdav',
        name: 'http://host.example/a',
        config: { endpoint: 'http://host.example', username: 'me', password: 'hush:hush' },
      },
    ],
    [
      's3://bucket/path?aws_region=eu&aws_endpoint=http%3A%2F%2Fh',
      { name: 's3://bucket/path', options: { aws_region: 'eu', aws_endpoint: 'http://h' } },
    ],
  ])('02#14 are understood: %s', (url, expected) => {
    expect(parseStorageUrl(url)).toMatchObject(expected)
  })

  it.each([
    ['', 'expected a URL'],
    ['memory', 'expected a URL'],
    ['//x', 'expected a URL'],
    ['memory://foo', 'expected no host'],
    ['memory://foo/bar', 'expected no host'],
    ['file://host.example/foo', 'expected no host'],
    ['memory:foo', 'expected an absolute path'],
    ['s3:', 'expected a bucket'],
    ['s3:///path', 'expected a bucket'],
    ['gs:///path', 'expected a bucket'],
    ['az:///path', 'expected a container'],
    ['s3://bucket:123/path', 'expected no port'],
    ['s3://user@bucket/path', 'expected credentials in options'],
    ['s3://user:hush-hush@bucket/path', 'expected credentials in options'],
    ['abfss://container@host.example/path', 'container@account'],
    ['abfss://container:hush-hush@me.dfs.core.windows.net/path', 'container@account'],
    ['https://s3.amazonaws.com', 'expected a bucket or container'],
    ['https://me.blob.core.windows.net/', 'expected a bucket or container'],
    ['https://user:hush-hush@s3.amazonaws.com/bucket', 'expected credentials in options'],
    ['ftp://host.example/path', "unknown scheme 'ftp'"],
    ['objectstore+memory://', "unknown scheme 'objectstore+memory'"],
    ['s3://bucket/a//b', 'empty component'],
    ['file:///a//b', 'empty component'],
    ['file:////a', 'empty component'],
    ['s3://bucket/a%2Fb', 'expected no slash'],
    ['s3://bucket/a%00b', 'control character'],
    ['s3://bucket/%2E%2E%2Fb', 'expected no slash'],
    ['s3://bucket/%ff', 'percent-encoding'],
    ['s3://bucket/a#b', 'expected no fragment'],
    ['s3://bucket/a?token=hush-hush&token=b', "expected option 'token' once"],
  ])('02#14 are refused: %s', (url, detail) => {
    const parse = () => parseStorageUrl(url)
    expect(parse).toThrow(expect.objectContaining({ name: 'CastoreError', code: 'invalid-input' }))
    expect(parse).toThrow(detail)
    expect(parse).not.toThrow('hush-hush')
  })
})

describe('openObjectStore', () => {
  it.each([
    'memory:///',
    'memory://',
    'file:///foo/bar',
    'https://localhost:8080/some-path',
    's3://bucket/path',
    's3a://bucket/path',
    'gs://bucket/path',
    'https://bucket.s3.eu-west-1.amazonaws.com/path',
    'https://abc123.r2.cloudflarestorage.com/bucket/path',
  ])('02#14 opens %s, and contacts nobody', async (url) => {
    vi.stubEnv('AWS_REGION', '')
    const store = await openObjectStore(url)
    expect(store.name).toBe(url.startsWith('memory') ? 'memory' : url)
    await store.close?.()
  })

  it.each(['az', 'adl', 'azure', 'abfs', 'abfss'])('02#14 opens %s://', async (scheme) => {
    const store = await openObjectStore(`${scheme}://container/path`, AZURE)
    expect(store.name).toBe(`${scheme}://container/path`)
  })

  it('makes a new memory store each time, and files where the URL says', async () => {
    const [one, other] = [await openObjectStore('memory://'), await openObjectStore('memory://')]
    expect(one).toBeInstanceOf(MemoryObjectStore)
    expect(one).not.toBe(other)
    const files = await openObjectStore('file:///foo/b%20ar/')
    expect(files).toBeInstanceOf(FileObjectStore)
    expect((files as FileObjectStore).root).toBe('/foo/b ar')
  })

  it.each<[url: string, options: Record<string, string>, message: string]>([
    ['memory://?region=eu', {}, "'region'"],
    ['file:///a', { aws_region: 'eu' }, "'aws_region'"],
    ['s3://bucket', { aws_regio: 'eu' }, "'aws_regio'"],
    ['s3://bucket', { google_service_account: 'a' }, "'google_service_account'"],
    ['s3://bucket?aws_token=hush-hush', { aws_session_token: 'hush-hush' }, "'aws_session_token'"],
    ['s3://bucket', { aws_region: 'a', region: 'b' }, "'region'"],
    ['s3://bucket', { aws_bucket: 'b' }, "'aws_bucket'"],
    ['s3://bucket', { aws_skip_signature: 'perhaps' }, "'aws_skip_signature'"],
    ['s3://bucket', { max_concurrency: '0' }, "'max_concurrency'"],
    ['s3://bucket', { max_retries: '-1' }, "'max_retries'"],
    ['s3://bucket', { timeout: 'soon' }, "'timeout'"],
    ['s3://bucket', { timeout: '0s' }, "'timeout'"],
    ['s3://bucket', { aws_conditional_put: 'dynamo' }, "'aws_conditional_put'"],
    ['s3://bucket', { aws_endpoint: 'http://h', aws_allow_http: 'false' }, "'allow_http'"],
    ['http://host.example/a', { aws_region: 'eu' }, "'aws_region'"],
    ['gs://bucket/a%20b', {}, 'A-Z a-z'],
    [`s3://bucket/${'a/'.repeat(500)}`, {}, 'at most 768 characters'],
  ])('refuses %s with %o, naming the key', async (url, options, message) => {
    const opening = openObjectStore(url, options)
    await expect(opening).rejects.toMatchObject({ name: 'CastoreError', code: 'invalid-input' })
    await expect(opening).rejects.toThrow(message)
    await expect(opening).rejects.not.toThrow('hush-hush')
  })

  it('says what an account is missing, without the key', async () => {
    const opening = openObjectStore('az://container', { azure_storage_account_key: 'aHVzaC1odXNo' })
    await expect(opening).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(opening).rejects.not.toThrow('aHVzaC1odXNo')
  })
})

describe('options', () => {
  const translated = (url: string, options: Record<string, string>) =>
    storageConfig(parseStorageUrl(url), options)

  it.each<[url: string, options: Record<string, string>, config: Record<string, string>]>([
    [
      's3://b/p',
      {
        aws_access_key_id: 'id',
        AWS_SECRET_ACCESS_KEY: 'secret',
        aws_session_token: 'token',
        aws_default_region: 'eu',
        aws_endpoint_url: 'https://h',
        aws_virtual_hosted_style_request: 'TRUE',
      },
      {
        access_key_id: 'id',
        secret_access_key: 'secret',
        session_token: 'token',
        region: 'eu',
        endpoint: 'https://h',
        enable_virtual_host_style: 'true',
        bucket: 'b',
        root: '/p',
      },
    ],
    ['s3://b', { access_key_id: 'id', region: 'eu' }, { access_key_id: 'id', region: 'eu', root: '/' }],
    ['https://bucket.s3.eu-west-1.amazonaws.com', { region: 'else' }, { region: 'else' }],
    ['s3://b', { skip_signature: '1' }, { allow_anonymous: 'true', disable_ec2_metadata: 'true' }],
    ['gs://b', { google_service_account: '/p' }, { credential_path: '/p', bucket: 'b' }],
    ['gs://b', { google_application_credentials: '/p' }, { credential_path: '/p' }],
    ['gs://b', { google_service_account_key: 'e30=' }, { credential: 'e30=' }],
    [
      'az://c/p',
      { azure_storage_account_name: 'me', azure_storage_access_key: 'k' },
      { account_name: 'me', account_key: 'k', endpoint: 'https://me.blob.core.windows.net', container: 'c' },
    ],
    ['az://c', { account_name: 'me', sas_token: 's' }, { sas_token: 's' }],
    ['az://c', { azure_storage_use_emulator: 'true' }, { account_name: 'devstoreaccount1' }],
    ['http://h/a', { username: 'me', password: 'p' }, { endpoint: 'http://h', username: 'me', root: '/a' }],
  ])('of %s: %o', (url, options, config) => {
    expect(translated(url, options).config).toMatchObject(config)
  })

  it('of the adapter itself', () => {
    const options = {
      max_concurrency: '8',
      max_retries: '0',
      retry_delay: '5ms',
      aws_timeout: '2m',
      aws_conditional_put: 'disabled',
    }
    expect(translated('s3://b', options).client).toEqual({
      concurrency: 8,
      maxRetries: 0,
      retryDelay: 5,
      timeout: 120_000,
      conditionalPut: false,
    })
  })

  it('takes the account of Azure from the environment', () => {
    vi.stubEnv('AZURE_STORAGE_ACCOUNT_NAME', 'mine')
    expect(translated('az://c', {}).config).toMatchObject({ endpoint: 'https://mine.blob.core.windows.net' })
  })

  it('knows which are secret', () => {
    const options = { aws_access_key_id: 'id', aws_secret_access_key: 'secret', aws_token: 'token' }
    expect(translated('s3://b', options).secrets).toEqual(['id', 'secret', 'token'])
    expect(translated('http://me:hush@h/', {}).secrets).toEqual(['hush'])
  })
})
