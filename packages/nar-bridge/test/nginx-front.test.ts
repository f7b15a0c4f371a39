import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodeNixbase32 } from '@neve/nix-compat'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePort } from '../../../scripts/free-port.mjs'
import { COMPLICATED, fileHash, SYMLINK_INFO } from './fixtures.js'
import { programIsThere } from './private-nix.js'
import { memoryStore, served, temporaryFolder } from './support.js'

const NGINX = '/usr/sbin/nginx'
const GUIDE = fileURLToPath(new URL('../../../docs/binary-cache.md', import.meta.url))

/** nginx with the server of the guide in front of a bridge, without its TLS; ended with the test. */
async function inFrontOf(url: string): Promise<string> {
  const server = /^server \{[\s\S]*?^\}/m.exec(readFileSync(GUIDE, 'utf8'))![0]
  const port = await freePort()
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'logs'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  const guided = server
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace('http://[::1]:9000', url)
  const config = `daemon off; error_log stderr notice; pid ${folder}/pid; events { } http { access_log off; ${temporary}\n${guided}\n}`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const child: ChildProcess = spawn(NGINX, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(async () => {
    if (child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  })
  // It listens before it starts the process that answers.
  let said = ''
  for await (const text of child.stderr!.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += text
    if (!said.includes('start worker process')) continue
    child.stderr!.resume()
    return `http://127.0.0.1:${port}`
  }
  throw new Error(`nginx ended: ${said}`)
}

describe.skipIf(!programIsThere(NGINX, '-v'))('behind nginx, as the guide has it', () => {
  it('takes NARs, and gives them whole and in ranges', async () => {
    const { url } = await served(memoryStore())
    const front = await inFrontOf(url)
    const name = `${front}/nar/${fileHash(COMPLICATED)}.nar`
    expect((await fetch(name, { method: 'PUT', body: COMPLICATED })).status).toBe(200)
    const whole = await fetch(name)
    expect([whole.status, whole.headers.get('cache-control')]).toEqual([
      200,
      'public, max-age=31536000, immutable',
    ])
    expect(Buffer.from(await whole.arrayBuffer()).equals(COMPLICATED)).toBe(true)
    const range = await fetch(name, { headers: { range: 'bytes=8-99' } })
    expect([
      range.status,
      Buffer.from(await range.arrayBuffer()).equals(COMPLICATED.subarray(8, 100)),
    ]).toEqual([206, true])
    const refused = `${front}/nar/${encodeNixbase32(new Uint8Array(32))}.nar`
    expect((await fetch(refused, { method: 'PUT', body: COMPLICATED })).status).toBe(400)
  })

  it('gives narinfo files, and 404 for what is not there', async () => {
    const store = memoryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const { url } = await served(store)
    const front = await inFrontOf(url)
    const path = `/${encodeNixbase32(SYMLINK_INFO.storePath.digest)}.narinfo`
    expect(await (await fetch(front + path)).text()).toBe(await (await fetch(url + path)).text())
    expect((await fetch(`${front}/${'1'.repeat(32)}.narinfo`)).status).toBe(404)
  })
})
