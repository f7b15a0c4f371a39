import { readFileSync } from 'node:fs'
import { openObjectStore } from '@neve/castore-services/object-store'
import { describe, expect, it } from 'vitest'
import { storageConfig } from '../src/object-store/storage-options.js'
import { parseStorageUrl } from '../src/object-store/storage-url.js'
import { describeWithServer, newPrefix } from './servers/object-server.js'
import { VERSITYGW } from './servers/versitygw.js'

const guide = readFileSync(new URL('../../../docs/backends.md', import.meta.url), 'utf8')
const section = (title: string): string => guide.split(/^### /m).find((part) => part.startsWith(title))!
const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)

describe('docs/backends.md', () => {
  const urls = quoted(section('Addresses')).filter((code) => code.includes('://'))

  it('names addresses', () => {
    expect(urls.length).toBeGreaterThan(8)
  })

  it.each(urls)('%s can be opened, and nothing is contacted', async (url) => {
    const store = await openObjectStore(url, url.startsWith('az:') ? { azure_storage_account_name: 'a' } : {})
    await store.close?.()
  })

  const rows = { S3: 's3://b/', Google: 'gs://b/', Azure: 'az://b/', WebDAV: 'http://h/', all: 's3://b/' }
  const samples: Record<string, string> = {
    max_concurrency: '8',
    max_retries: '1',
    retry_delay: '100ms',
    timeout: '60s',
    conditional_put: 'disabled',
  }
  const truths = /skip_signature|virtual_hosted|use_emulator|allow_http/
  it.each(
    Object.entries(rows).flatMap(([store, url]) => {
      const row = section('Options')
        .split('\n')
        .find((line) => line.startsWith(`| ${store} `))!
      const names = quoted(row.replace(/\([^)]*\)/g, ''))
      expect(names.length).toBeGreaterThan(2)
      return names.map((name) => [store, name, url] as const)
    }),
  )('%s takes the option %s', (_, name, url) => {
    const value = samples[name] ?? (truths.test(name) ? 'true' : 'x')
    expect(() => storageConfig(parseStorageUrl(url), { [name]: value })).not.toThrow()
  })
})

describeWithServer(VERSITYGW, (server) => {
  it('the example of S3 in docs/backends.md runs', async () => {
    const example = /^```js\n(const store = await openObjectStore\('s3:.*?)^```$/ms.exec(guide)?.[1]
    expect(example).toContain('assert')
    const code = example!
      .replace('s3://bucket/castore', `s3://bucket/${newPrefix()}`)
      .replace('http://127.0.0.1:7070', server().options['aws_endpoint']!)
      .replace('testtesttest', server().options['aws_secret_access_key']!)
    const { default: assert } = await import('node:assert/strict')
    const { ObjectStoreBlobService } = await import('@neve/castore-services/blob/object-store')
    const names = ['assert', 'openObjectStore', 'ObjectStoreBlobService']
    const AsyncFunction = (async () => {}).constructor as new (
      ...args: string[]
    ) => (...args: unknown[]) => Promise<void>
    await new AsyncFunction(...names, code)(assert, openObjectStore, ObjectStoreBlobService)
  })
})
