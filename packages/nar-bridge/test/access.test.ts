import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AccessTokens } from '@neve/castore-services/grpc/server'
import { narBridge } from '@neve/nar-bridge'
import { describe, expect, it } from 'vitest'
import { fileHash, SYMLINK } from './fixtures.js'
import { nixIsThere, PrivateNix } from './private-nix.js'
import { ask, memoryStore, served, temporaryFolder, temporaryStore } from './support.js'

const READ = 'reading-reading-reading'
const WRITE = 'writing-writing-writing'

async function tokens(): Promise<AccessTokens> {
  const path = join(temporaryFolder(), 'tokens')
  writeFileSync(path, `read ${READ}\nwrite ${WRITE}\n`)
  chmodSync(path, 0o600)
  return AccessTokens.fromFile(path)
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('tokens', () => {
  it.each([
    ['nothing', undefined, 401, 401],
    ['a bearer for reading', `Bearer ${READ}`, 200, 403],
    ['a bearer for writing', `Bearer ${WRITE}`, 200, 200],
    ['a password for reading', basic(`nix:${READ}`), 200, 403],
    ['a password for writing, nobody', basic(`:${WRITE}`), 200, 200],
    ['a password that is none', basic('nix:wrong-wrong-wrong-wrong'), 401, 401],
    ['a token as the user', basic(`${WRITE}:`), 401, 401],
    ['basic without a colon', basic(WRITE), 401, 401],
    ['basic that is no base64', 'Basic $$$', 401, 401],
    ['a header without end', `Bearer ${'x'.repeat(9000)}`, 401, 401],
  ])('%s', async (_, authorization, read, write) => {
    const bridge = narBridge(memoryStore(), { tokens: await tokens() })
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
    const got = await ask(bridge, '/nix-cache-info', { headers })
    expect(got.status).toBe(read)
    expect(got.headers.has('www-authenticate')).toBe(read === 401)
    const path = `/nar/${fileHash(SYMLINK)}.nar`
    const put = await ask(bridge, path, { method: 'PUT', headers, body: new Uint8Array(SYMLINK) })
    expect(put.status).toBe(write)
    expect((await ask(bridge, path, { headers })).status).toBe(read === 401 ? 401 : write === 200 ? 200 : 404)
  })

  it.skipIf(!nixIsThere)('come from the netrc file of real Nix', async () => {
    const { url } = await served(await temporaryStore(), { tokens: await tokens() })
    const netrc = join(temporaryFolder(), 'netrc')
    writeFileSync(netrc, `machine 127.0.0.1 login nix password ${WRITE}\n`, { mode: 0o600 })
    const knowing = new PrivateNix(`netrc-file = ${netrc}\nrequire-sigs = false\n`)
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, 'hello')
    const path = await knowing.run('nix-store', '--add', file)
    await knowing.run('nix', 'copy', '--to', url, path)
    const stranger = new PrivateNix()
    const { status, stderr } = await stranger.try('nix', 'path-info', '--store', url, path)
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/does not appear to be a binary cache|401/)
  })
})
