import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { missingProgram, neve, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

const TEAM = 'team-0123456789abcdef'

/** Two caches: what everybody may read, and what a team has for itself, signed with its key. */
async function prepared() {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const { lines } = await neve(['--store', store, 'import', sampleTree(folder)])
  const { stdout } = await neve(['key', 'generate', 'team-1', '-o', join(folder, 'team.key')])
  writeFileSync(join(folder, 'tokens'), `write ${TEAM}\n`, { mode: 0o600 })
  const toml = `
[cache.all]
read-only = true
priority = 50

[cache."for/team"]
store = "${join(folder, 'of-team')}"
sign-key = "${join(folder, 'team.key')}"
token-file = "${join(folder, 'tokens')}"
`
  const file = join(folder, 'caches.toml')
  writeFileSync(file, toml)
  return { folder, store, path: lines[0]!, publicKey: stdout.toString().trim(), file }
}

/** Real Nix with a root of its own (spec 09 section 16). */
function privateNix(folder: string, name: string, conf: string) {
  const home = join(folder, name)
  mkdirSync(join(home, 'root'), { recursive: true })
  const fixed = 'experimental-features = nix-command\nsandbox = false\nbuild-users-group =\n'
  writeFileSync(join(home, 'nix.conf'), `${fixed}netrc-file = ${join(home, 'netrc')}\n${conf}`)
  writeFileSync(join(home, 'netrc'), `machine 127.0.0.1 login nix password ${TEAM}\n`)
  const env = { ...process.env, HOME: home, NIX_CONF_DIR: home, NIX_REMOTE: join(home, 'root') }
  return async (program: string, ...args: string[]) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (piece) => {
      stdout += piece
    })
    child.stderr.on('data', (piece) => {
      stderr += piece
    })
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { status, stdout: stdout.trim(), stderr }
  }
}

const statusOf = async (url: string, init?: RequestInit) => (await fetch(url, init)).status

describe('several caches', () => {
  test('real Nix copies from one below a prefix to another, and substitutes from that by its key', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const { folder, store, path, publicKey, file } = await prepared()
    const args = ['-l', '127.0.0.1:0', '--store', store, '--cache-config', file]
    const { urls, stop } = await startDaemon(args, {}, 'nar-bridge')
    const [all, team] = [`${urls[0]}/all`, `${urls[0]}/for/team`]
    const nix = privateNix(folder, 'one', 'substituters =\nrequire-sigs = false\n')
    expect(await nix('nix', 'copy', '--from', all, path)).toMatchObject({ status: 0 })
    expect(await nix('nix', 'copy', '--to', team, path)).toMatchObject({ status: 0 })
    expect((await nix('nix', 'copy', '--to', `${all}?priority=1`, path)).status).toBe(0)
    const conf = `substituters = ${team}\ntrusted-public-keys = ${publicKey}\n`
    const other = privateNix(folder, 'two', conf)
    expect(await other('nix-store', '--realise', path)).toMatchObject({ status: 0, stdout: path })
    expect(await other('nix-store', '--verify-path', path)).toMatchObject({ status: 0 })
    const hash = path.slice(11, 43)
    const headers = { authorization: `Bearer ${TEAM}` }
    const narinfo = await (await fetch(`${team}/${hash}.narinfo`, { headers })).text()
    expect(narinfo).toContain('\nSig: team-1:')
    expect(await (await fetch(`${all}/${hash}.narinfo`)).text()).not.toContain('Sig: team-1:')
    expect(await statusOf(`${team}/${hash}.narinfo`)).toBe(401)
    expect(await statusOf(`${all}/nar/x`, { method: 'PUT', body: 'x' })).toBe(403)
    expect(await statusOf(`${urls[0]}/nix-cache-info`)).toBe(404)
    // What was put is in the store of the team's cache.
    expect((await neve(['--store', join(folder, 'of-team'), 'ls', path])).code).toBe(0)
    expect(await (await fetch(`${urls[0]}/healthz`)).text()).toContain('/for/team blobs: ok\n')
    const metrics = await (await fetch(`${urls[0]}/metrics`)).text()
    expect(metrics).toMatch(/neve_http_requests_total\{route="narinfo",method="PUT",status="200"\} [1-9]/)
    expect(await stop()).toBe(0)
  })

  test('by flags, with workers, beside gRPC', async () => {
    const { folder, store, path } = await prepared()
    const tokens = join(folder, 'tokens')
    const flags = ['--cache', '/open', '--cache', `/closed?token-file=${tokens}&public-read=false&priority=7`]
    const args = ['-l', join(folder, 'socket'), '--http', '127.0.0.1:0', '--store', store, '--workers', '2']
    const { urls, stop } = await startDaemon([...args, ...flags], {}, 'daemon')
    const url = urls.find((one) => one.startsWith('http:'))!
    const headers = { authorization: `Bearer ${TEAM}` }
    const info = await fetch(`${url}/closed/nix-cache-info`, { headers })
    expect(await info.text()).toContain('Priority: 7\n')
    expect(await statusOf(`${url}/closed/nix-cache-info`)).toBe(401)
    for (let i = 0; i < 4; i++) {
      expect(
        await statusOf(`${url}/open/${path.slice(11, 43)}.narinfo`, { headers: { connection: 'close' } }),
      ).toBe(200)
    }
    expect(await stop()).toBe(0)
  })

  test('what one does not say it takes from the other options, and the root may be among them', async () => {
    const { store } = await prepared()
    const flags = ['--priority', '11', '--read-only', '--cache', '/', '--cache', '/w?read-only=false']
    const { urls } = await startDaemon(['-l', '127.0.0.1:0', '--store', store, ...flags], {}, 'nar-bridge')
    for (const prefix of ['', '/w']) {
      expect(await (await fetch(`${urls[0]}${prefix}/nix-cache-info`)).text()).toContain('Priority: 11\n')
    }
    const put = { method: 'PUT', body: 'x' }
    expect(await statusOf(`${urls[0]}/nar/x`, put)).toBe(403)
    expect(await statusOf(`${urls[0]}/w/nar/x`, put)).toBe(400)
  })

  test('tokens of each are read again on SIGHUP', async () => {
    const { folder, store, file } = await prepared()
    const args = ['-l', '127.0.0.1:0', '--store', store, '--cache-config', file]
    const { urls, child, says } = await startDaemon(args, {}, 'nar-bridge')
    const headers = { authorization: 'Bearer other-0123456789abcdef' }
    expect(await statusOf(`${urls[0]}/for/team/nix-cache-info`, { headers })).toBe(401)
    writeFileSync(join(folder, 'tokens'), 'read other-0123456789abcdef\n', { mode: 0o600 })
    child.kill('SIGHUP')
    await says('read the tokens again')
    expect(await statusOf(`${urls[0]}/for/team/nix-cache-info`, { headers })).toBe(200)
  })

  test.each([
    [['--cache', '/nar'], /--cache \/nar: nar means something else/],
    [['--cache', '/a b'], /expected a path of letters/],
    [['--cache', '/a/../b'], /expected a path of letters/],
    [['--cache', '/a', '--cache', 'a'], /there is a cache at \/a already/],
    [['--cache', '/a?key=x'], /unknown key 'key', expected one of store, /],
    [['--cache', '/a?priority=-1'], /priority: expected a number/],
    [['--cache', '/a?priority=1&priority=2'], /priority is there twice/],
    [['--cache', '/a?page=maybe'], /page: expected true or false/],
    [['--cache', '/a?store='], /store: expected the address/],
    [['--cache', '/a?store=%zz'], /percent-encoded/],
    [['--cache', '/a', '--cache-files', 'file:///x'], /--cache-files is for one cache/],
    [['--cache-config', '/does/not/exist'], /cannot read the file/],
  ])('%j is refused', async (args, message) => {
    const folder = temporaryFolder()
    const ran = await neve(['nar-bridge', '-l', '127.0.0.1:0', '--store', join(folder, 'store'), ...args])
    expect([ran.code, ran.stderr]).toEqual([expect.toBeOneOf([1, 2]), expect.stringMatching(ONE_LINE)])
    expect(ran.stderr).toMatch(message)
  })

  test.each([
    ['[caches.a]\n', /unknown table 'caches'/],
    ['cache = 1\n', /expected a table/],
    ['[cache]\na = 1\n', /cache\.a: expected a table/],
    ['[cache.a]\nsign-key = []\n', /sign-key: expected a file/],
    ['[cache.a]\ntokens = "secret-secret"\n', /unknown key 'tokens'/],
    ['[cache.a\n', /caches\.toml:1: /],
    ['', /expected a table \[cache\.NAME\]/],
  ])('a file with %j is refused', async (toml, message) => {
    const folder = temporaryFolder()
    const file = join(folder, 'caches.toml')
    writeFileSync(file, toml)
    const ran = await neve(['nar-bridge', '--store', join(folder, 'store'), '--cache-config', file])
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(ONE_LINE)])
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr).not.toContain('secret-secret')
  })

  test('one that lets everybody write keeps the whole from an address that others can reach', async () => {
    const folder = temporaryFolder()
    const store = ['--store', join(folder, 'store')]
    const flags = ['-l', '0.0.0.0:0', '--read-only', '--cache', '/a', '--cache', '/b?read-only=false']
    const ran = await neve(['nar-bridge', ...store, ...flags])
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('--token-file, --read-only')])
  })
})
