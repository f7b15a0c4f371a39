import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text as streamText } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { temporaryFolder } from './support.js'

async function bridge(...args: string[]) {
  const store = join(temporaryFolder(), 'store')
  const daemon = await startDaemon(['-l', '127.0.0.1:0', '--store', store, ...args], {}, 'nar-bridge')
  return { ...daemon, url: daemon.urls[0]! }
}

/** Asks over a connection of its own. */
async function askAlone(url: string): Promise<string> {
  const [reply] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage]
  return await streamText(reply)
}

/** The value of a line of what Prometheus reads. */
function value(text: string, line: string): number {
  const found = text.split('\n').find((one) => one.startsWith(`${line} `))
  return found === undefined ? 0 : Number(found.slice(line.length + 1))
}

describe('/healthz', () => {
  test('says that all backends answer, and takes nothing', async () => {
    const { url } = await bridge()
    const reply = await fetch(`${url}/healthz`)
    expect([reply.status, await reply.text()]).toEqual([200, 'blobs: ok\ndirectories: ok\npathInfos: ok\n'])
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const put = await fetch(`${url}/healthz`, { method: 'PUT', body: 'x' })
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('says which do not, once they are gone', async () => {
    const folder = temporaryFolder()
    const socket = join(folder, 'far')
    const far = await startDaemon(['-l', socket, '--store', join(folder, 'store')], {}, 'daemon')
    const args = ['-l', '127.0.0.1:0', '--store', `grpc+unix:${socket}`, '--read-only']
    const { urls } = await startDaemon(args, {}, 'nar-bridge')
    const asked = () => fetch(`${urls[0]}/healthz`)
    expect((await asked()).status).toBe(200)
    await far.stop()
    rmSync(socket, { force: true })
    const gone = ['blobs', 'directories', 'pathInfos'].map((name) => `${name}: does not answer\n`).join('')
    let reply = await asked()
    let text = await reply.text()
    // Each answer holds for a second.
    while (text !== gone) {
      reply = await asked()
      text = await reply.text()
    }
    expect(reply.status).toBe(503)
  })
})

describe('/metrics', () => {
  test('counts requests by route and status, and the bytes of replies', async () => {
    const { url } = await bridge()
    const metrics = async () => await (await fetch(`${url}/metrics`)).text()
    for (let i = 0; i < 3; i++) await (await fetch(`${url}/nix-cache-info`)).text()
    await (await fetch(`${url}/${'0'.repeat(32)}.narinfo`)).text()
    const info = 'neve_http_requests_total{route="cache-info",method="GET",status="200"}'
    let text = await metrics()
    // A request is counted when its connection is done with it.
    while (value(text, info) < 3) text = await metrics()
    expect(value(text, info)).toBe(3)
    expect(value(text, 'neve_http_requests_total{route="narinfo",method="GET",status="404"}')).toBe(1)
    expect(value(text, 'neve_http_request_duration_seconds_count{route="cache-info"}')).toBe(3)
    expect(value(text, 'neve_http_response_bytes_total{route="cache-info"}')).toBeGreaterThan(150)
    const lookups =
      'neve_store_operation_duration_seconds_count{kind="path infos",operation="get",outcome="ok"}'
    const before = value(text, lookups)
    await (await fetch(`${url}/${'0'.repeat(32)}.ls`)).text()
    expect(value(await metrics(), lookups)).toBe(before + 1)
    expect(value(text, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
  })

  test('is of all workers together, whichever answers, and of a scrub', async () => {
    const scrub = ['--scrub-every', '7d']
    const store = join(temporaryFolder(), 'store')
    const args = ['--http', '127.0.0.1:0', '-l', '127.0.0.1:0', '--workers', '2', '--store', store, ...scrub]
    const daemon = await startDaemon(args, {}, 'daemon')
    const url = daemon.urls.find((one) => one.startsWith('http:'))!
    // Each of these connections goes to the next worker.
    const ask = (path: string) => askAlone(`${url}${path}`)
    for (let i = 0; i < 6; i++) await ask('/nix-cache-info')
    const info = 'neve_http_requests_total{route="cache-info",method="GET",status="200"}'
    let texts: string[] = []
    do texts = [await ask('/metrics'), await ask('/metrics')]
    while (texts.some((text) => value(text, info) < 6))
    for (const text of texts) {
      expect(value(text, info)).toBe(6)
      expect(value(text, 'neve_http_request_duration_seconds_count{route="cache-info"}')).toBe(6)
      expect(text.split('\n')).toContain('neve_scrub_runs 0')
      expect(text.match(/^# TYPE neve_http_requests_total /gm)).toHaveLength(1)
    }
    expect(await daemon.stop()).toBe(0)
  })

  test('does not grow with what clients make up', async () => {
    const { url } = await bridge()
    for (let i = 0; i < 20; i++) await (await fetch(`${url}/made-up-${i}`)).text()
    const text = await (await fetch(`${url}/metrics`)).text()
    expect(text).not.toContain('made-up')
    expect(
      text.split('\n').filter((line) => line.startsWith('neve_http_requests_total{')).length,
    ).toBeLessThan(4)
  })

  test('asks for a token where there are some; /healthz does not', async () => {
    const tokens = join(temporaryFolder(), 'tokens')
    writeFileSync(tokens, 'read first-0123456789abcdef\n', { mode: 0o600 })
    const { url } = await bridge('--token-file', tokens)
    const headers = { authorization: 'Bearer first-0123456789abcdef' }
    expect((await fetch(`${url}/metrics`)).status).toBe(401)
    expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })
})

test('--access-log tells each request in a line, and nothing that a terminal obeys', async () => {
  const { url, says, stderr } = await bridge('--access-log', '--log-format', 'json')
  await (await fetch(`${url}/nix-cache-info?x=%1b[31m`)).text()
  await says('"msg":"request"')
  const line = JSON.parse(
    stderr()
      .split('\n')
      .find((one) => one.includes('"msg":"request"'))!,
  )
  expect(line).toMatchObject({ method: 'GET', target: '/nix-cache-info?x=%1b[31m', status: 200 })
  expect([line.client, typeof line.ms, line.bytes > 0]).toEqual(['127.0.0.1', 'number', true])
})
