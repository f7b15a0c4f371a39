import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodeNixbase32 } from '@neve/nix-compat'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../../scripts/free-port.mjs'
import { startDaemon } from './servers.js'
import { missingProgram, NEVE, neve, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

const README = fileURLToPath(new URL('../../../README.md', import.meta.url))

/** What real Nix has of its own (spec 09 section 16). */
function nixEnvironment(folder: string): NodeJS.ProcessEnv {
  const conf = 'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n'
  mkdirSync(join(folder, 'root'), { recursive: true })
  writeFileSync(join(folder, 'nix.conf'), conf)
  return { HOME: folder, NIX_CONF_DIR: folder, NIX_REMOTE: join(folder, 'root') }
}

/** Runs a script in a group of processes of its own, which ends with it. */
async function script(text: string, cwd: string, env: NodeJS.ProcessEnv) {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', text], { cwd, env, detached: true })
  onTestFinished(() => {
    spawnSync('kill', ['-TERM', '--', `-${child.pid}`])
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (piece) => {
    stdout += piece
  })
  child.stderr.on('data', (piece) => {
    stderr += piece
  })
  const status = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { status, stdout, stderr }
}

describe('neve nar-bridge', () => {
  test('the five lines of the README', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version'))
    const lines = /```sh\n(path=\$\(neve import[\s\S]*?)```/.exec(readFileSync(README, 'utf8'))![1]!
    expect(lines.trimEnd().split('\n').length).toBe(5)
    const folder = temporaryFolder()
    const port = await freePort('::1')
    renameSync(sampleTree(folder), join(folder, 'result'))
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'neve'), `#!/bin/sh\nexec '${process.execPath}' '${NEVE}' "$@"\n`)
    chmodSync(join(bin, 'neve'), 0o755)
    const env = {
      ...nixEnvironment(folder),
      PATH: `${bin}:${process.env['PATH']}`,
      NEVE_STORE: join(folder, 'store'),
      NEVE_HTTP_LISTEN_ADDRESS: `[::1]:${port}`,
    }
    const ran = await script(lines.replace('[::1]:9000', `[::1]:${port}`), folder, env)
    expect([ran.status, ran.stderr]).toEqual([0, expect.stringContaining('serving on')])
    const path = ran.stdout.trim()
    expect(path).toMatch(/^\/nix\/store\/[0-9a-z]{32}-result$/)
    const verified = spawnSync('nix-store', ['--verify-path', path], { env })
    expect(verified.status).toBe(0)
  })

  test('writes by nix copy last, with the names that Nix chose', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const folder = temporaryFolder()
    const tree = sampleTree(folder)
    const store = join(folder, 'store')
    const env = { ...process.env, ...nixEnvironment(folder) }
    const nix = (program: string, ...args: string[]) =>
      script([program, ...args].map((word) => `'${word}'`).join(' '), folder, env)
    const path = (await nix('nix-store', '--add', tree)).stdout.trim()
    const start = () => startDaemon(['-l', '127.0.0.1:0', '--store', store, '--access-log'], {}, 'nar-bridge')
    const first = await start()
    expect((await nix('nix', 'copy', '--to', first.urls[0]!, path)).status).toBe(0)
    const narinfo = await (await fetch(`${first.urls[0]}/${path.slice(11, 43)}.narinfo`)).text()
    expect(narinfo).toContain('\nCompression: zstd\n')
    await first.says('.xz status=200')
    const put = /method=PUT target=(\/nar\/\S+\.xz) status=200 /.exec(first.stderr())![1]!
    expect(await first.stop()).toBe(0)
    const again = await start()
    expect((await fetch(`${again.urls[0]}${put}`)).status).toBe(200)
    expect(await again.stop()).toBe(0)
    const stored = await neve(['ls', '--store', store, path])
    expect(stored.code).toBe(0)
  })

  test('a NAR that was put is there for its narinfo, though the server was killed in between', async () => {
    const store = join(temporaryFolder(), 'store')
    const start = () => startDaemon(['-l', '127.0.0.1:0', '--store', store], {}, 'nar-bridge')
    const words = ['nix-archive-1', '(', 'type', 'symlink', 'target', 'elsewhere', ')']
    const nar = Buffer.concat(
      words.map((text) => {
        const framed = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8)
        framed.writeUInt32LE(text.length)
        framed.write(text, 8)
        return framed
      }),
    )
    const sha256 = createHash('sha256').update(nar).digest()
    const file = `nar/${encodeNixbase32(new Uint8Array(sha256))}.nar`
    const put = (url: string, path: string, body: string | Uint8Array<ArrayBuffer>) =>
      fetch(`${url}/${path}`, { method: 'PUT', body }).then(({ status }) => status)
    const first = await start()
    expect(await put(first.urls[0]!, file, new Uint8Array(nar))).toBe(200)
    expect(await first.stop('SIGKILL')).toBe('SIGKILL')
    const again = await start()
    const hash = '0'.repeat(32)
    const info = `StorePath: /nix/store/${hash}-x\nURL: ${file}\nCompression: none\nNarHash: sha256:${sha256.toString('hex')}\nNarSize: ${nar.length}\nReferences: \n`
    expect(await put(again.urls[0]!, `${hash}.narinfo`, info)).toBe(200)
    expect(
      await put(again.urls[0]!, `${'1'.repeat(32)}.narinfo`, info.replaceAll(hash, '1'.repeat(32))),
    ).toBe(200)
    expect((await fetch(`${again.urls[0]}/${hash}.narinfo`)).status).toBe(200)
  })

  test.each([
    [['-l', '0.0.0.0:0'], '--token-file'],
    [['-l', 'localhost:9000'], '--listen-address'],
    [['-l', 'stdio'], 'standard input'],
    [['--require-signature', 'x'], '--require-signature'],
    [['--priority', '-1'], 'priority'],
    [['--compression', 'lz4'], 'compression'],
  ])('%j is refused', async (args, says) => {
    const folder = temporaryFolder()
    const ran = await neve(['nar-bridge', '--store', join(folder, 'store'), ...args])
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain(says)
  })

  test('a key that is none is refused without showing it', async () => {
    const folder = temporaryFolder()
    const key = join(folder, 'key')
    writeFileSync(key, 'name:c2VjcmV0')
    const ran = await neve(['nar-bridge', '--store', join(folder, 'store'), '--sign-key', key])
    expect(ran.code).toBe(1)
    expect(ran.stderr).toMatch(ONE_LINE)
    expect(ran.stderr).not.toContain('c2VjcmV0')
  })

  test('tokens are asked for', async () => {
    const folder = temporaryFolder()
    const tokens = join(folder, 'tokens')
    writeFileSync(tokens, 'read reading-reading-reading\n', { mode: 0o600 })
    const args = ['-l', '127.0.0.1:0', '--store', join(folder, 'store'), '--token-file', tokens]
    const { urls, stop } = await startDaemon(args, {}, 'nar-bridge')
    const asked = (authorization: string) =>
      fetch(`${urls[0]}/nix-cache-info`, { headers: { authorization } }).then(({ status }) => status)
    expect(await asked('Bearer other-other-other-other')).toBe(401)
    expect(await asked('Bearer reading-reading-reading')).toBe(200)
    expect(await stop()).toBe(0)
  })
})
