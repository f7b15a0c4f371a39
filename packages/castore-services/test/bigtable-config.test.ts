import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  bigtableConfigSchema,
  emulatorTarget,
  googleHeaders,
  openBigtableDirectoryService,
} from '@neve/castore-services/directory/bigtable'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { A } from '../src/contract/directory-fixtures.js'
import { CONFIG, ScriptedServer } from './bigtable-scripted-server.js'
import { temporaryFolder } from './embedded-fixture.js'

describe('the configuration of Bigtable', () => {
  it('has defaults', () => {
    expect(bigtableConfigSchema.parse(CONFIG)).toEqual({
      ...CONFIG,
      is_read_only: false,
      channel_size: 4,
      timeout: '4',
      app_profile_id: 'default',
    })
    expect(bigtableConfigSchema.parse({ ...CONFIG, timeout: null }).timeout).toBeNull()
  })

  const base = 'project_id=p&table_name=t&family_name=f'
  it.each([
    `bigtable://instance-1?${base}`,
    `bigtable://instance-1?${base}&channel_size=10&timeout=10`,
    `bigtable://instance-1?${base}&is_read_only=true&app_profile_id=other`,
  ])('03#30 takes %s', (url) => {
    const config = bigtableConfigSchema.parse(bigtableConfigFromUrl(url))
    expect(config).toMatchObject({
      instance_name: 'instance-1',
      project_id: 'p',
      table_name: 't',
      family_name: 'f',
    })
    if (url.includes('channel_size')) expect(config).toMatchObject({ channel_size: 10, timeout: '10' })
    if (url.includes('read_only'))
      expect(config).toMatchObject({ is_read_only: true, app_profile_id: 'other' })
  })

  it.each([
    ['bigtable://instance-1', 'project_id'],
    [`bigtable:?${base}`, 'instance name missing'],
    [`bigtable://?${base}`, 'instance name missing'],
    [`bigtable://i/?${base}`, "path may not be set, got '/'"],
    [`bigtable://i/table?${base}`, 'path may not be set'],
    [`bigtable://i:80?${base}`, 'port may not be set'],
    [`bigtable://user:secret@i?${base}`, 'user and password may not be set'],
    [`bigtable://i?${base}#x`, 'fragment may not be set'],
    [`bigtable://i?${base}&project_id=q`, "'project_id' is there twice"],
    [`bigtable://i?${base}&instance_name=j`, "'instance_name' is there twice"],
    [`bigtable://i?${base}&colour=red`, 'unknown key colour'],
    [`bigtable://i?${base}&channel_size=0`, 'channel_size'],
    [`bigtable://i?${base}&channel_size=many`, 'channel_size'],
    [`bigtable://i?${base}&channel_size=65`, 'channel_size'],
    [`bigtable://i?${base}&timeout=0`, 'timeout'],
    [`bigtable://i?${base}&timeout=1.5`, 'timeout'],
    [`bigtable://i?${base}&timeout=`, 'timeout'],
    [`bigtable://i?${base}&is_read_only=yes`, 'is_read_only'],
    ['bigtable://i?project_id=p/q&table_name=t&family_name=f', 'project_id'],
    ['bigtable://i?project_id=p&table_name=t&family_name=.*', 'family_name'],
    ['bigtable://i?project_id=p&table_name=&family_name=f', 'table_name'],
    [`bigtable+x://i?${base}`, 'expected bigtable:'],
    [`http://i?${base}`, 'expected bigtable:'],
    ['no url', 'unable to parse'],
  ])('03#30 refuses %s', async (url, message) => {
    const refusal = await openBigtableDirectoryService(url).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ name: 'CastoreError', code: 'invalid-request' })
    expect(String(refusal)).toContain(message)
    expect(String(refusal)).not.toContain('secret')
  })

  it.each([
    ['a number as time-out', { timeout: 10 }],
    ['text for a flag', { is_read_only: 'yes' }],
    ['half a channel', { channel_size: 1.5 }],
    ['an unknown key', { colour: 'red' }],
  ])('refuses %s', async (_name, more) => {
    const config = { ...CONFIG, ...more } as BigtableConfigInput
    await expect(openBigtableDirectoryService(config)).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(Object.keys(more)[0]!),
    })
  })

  it.each([
    ['127.0.0.1:8086', '127.0.0.1:8086'],
    ['unix:/run/bigtable', 'unix:/run/bigtable'],
    ['unix:///run/bigtable', 'unix:/run/bigtable'],
  ])('finds an emulator at %s', (host, address) => {
    expect(emulatorTarget(host)).toEqual({ address, tls: false })
  })
})

describe('credentials of Bigtable', () => {
  let server: ScriptedServer
  beforeEach(async () => {
    server = new ScriptedServer()
    await server.start()
  })
  afterEach(() => server.stop())

  it('are asked for with the scope, and sent with every request', async () => {
    const scopes: string[] = []
    const tokens = createServer((request, response) => {
      let body = ''
      request.on('data', (piece) => {
        body += piece
      })
      request.on('end', () => {
        scopes.push(new URLSearchParams(body).get('scope')!)
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify({
            access_token: 'token-1',
            expires_in: 3600,
            token_type: 'Bearer',
            issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          }),
        )
      })
    })
    await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve))
    try {
      const folder = temporaryFolder()
      const [file, subject] = [join(folder, 'credentials.json'), join(folder, 'subject')]
      const { port } = tokens.address() as AddressInfo
      const account = {
        type: 'external_account',
        audience:
          '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/test',
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        token_url: `http://127.0.0.1:${port}/token`,
        credential_source: { file: subject },
      }
      writeFileSync(subject, 'subject-secret')
      writeFileSync(file, JSON.stringify(account))
      vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file)
      const headers = await googleHeaders('https://www.googleapis.com/auth/bigtable.data', 'project-1')
      const authorized = await openBigtableDirectoryService(CONFIG, {
        target: { ...emulatorTarget(server.address), headers },
      })
      server.serve([A])
      expect(await authorized.get(A.digest())).toBeDefined()
      expect(server.metadata[0]).toMatchObject({ authorization: 'Bearer token-1' })
      await authorized.get(A.digest())
      await authorized.close()
      // One token serves many requests.
      expect(scopes).toEqual(['https://www.googleapis.com/auth/bigtable.data'])
    } finally {
      vi.unstubAllEnvs()
      tokens.close()
    }
  })

  it('that cannot be had are unavailable, and are not shown', async () => {
    const headers = async () => {
      throw Object.assign(new Error('the token service does not answer'), { config: { data: 'secret' } })
    }
    const target = { ...emulatorTarget(server.address), headers }
    const refused = await openBigtableDirectoryService(CONFIG, { target })
    const error = await refused.get(A.digest()).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'unavailable',
      message: 'unable to get credentials for bigtable: the token service does not answer',
    })
    expect((error as Error).cause).toBeUndefined()
    expect(server.calls.ReadRows).toBe(0)
    await refused.close()
  })
})
