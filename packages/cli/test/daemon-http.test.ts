import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { neve, ONE_LINE, sampleTree, temporaryFolder } from './support.js'

const at = (url: string) =>
  ['blob', 'directory', 'path-info'].flatMap((kind) => [`--${kind}-service-addr`, url])

async function beside(...args: string[]) {
  const folder = temporaryFolder()
  const flags = ['-l', join(folder, 'grpc'), '--http', '127.0.0.1:0', '--store', join(folder, 'store')]
  const daemon = await startDaemon([...flags, ...args], {}, 'daemon')
  const [grpc, http] = daemon.urls as [string, string]
  return { ...daemon, folder, grpc, http }
}

/** The status and the text of a reply over a unix socket. */
function overSocket(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => {
      let text = `${response.statusCode} `
      response.on('data', (piece) => {
        text += piece
      })
      response.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
}

describe('neve daemon --http', () => {
  test.each([[[]], [['--workers', '2']]])('serves one store over gRPC and HTTP: %j', async (more) => {
    const daemon = await beside(...more)
    expect(daemon.http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const imported = await neve(['import', ...at(daemon.grpc), sampleTree(daemon.folder)])
    expect(imported.code).toBe(0)
    const hash = imported.stdout.toString().trim().slice(11, 43)
    const narinfo = await (await fetch(`${daemon.http}/${hash}.narinfo`)).text()
    expect(narinfo).toContain('\nCompression: zstd\n')
    const url = /^URL: (.*)$/m.exec(narinfo)![1]!.replace('.nar.zst', '')
    const nar = await fetch(`${daemon.http}/${url}`)
    expect([nar.status, (await nar.arrayBuffer()).byteLength]).toEqual([
      200,
      Number(/^NarSize: (.*)$/m.exec(narinfo)![1]),
    ])
    expect(await daemon.stop()).toBe(0)
  })

  test('listens on several addresses, and a stop takes all of them away', async () => {
    const folder = temporaryFolder()
    const socket = join(folder, 'http')
    const daemon = await beside('--http', socket, '--priority', '7')
    expect(daemon.urls).toHaveLength(3)
    expect(await overSocket(socket, '/nix-cache-info')).toMatch(/^200 [\s\S]*Priority: 7\n$/)
    expect(await daemon.stop()).toBe(0)
    await expect(overSocket(socket, '/nix-cache-info')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('asks for the same tokens, and reads them again', async () => {
    const tokens = join(temporaryFolder(), 'tokens')
    writeFileSync(tokens, 'read first-0123456789abcdef\n', { mode: 0o600 })
    const daemon = await beside('--token-file', tokens)
    const asked = async (token: string) => {
      const headers = { authorization: `Basic ${Buffer.from(`nix:${token}`).toString('base64')}` }
      return (await fetch(`${daemon.http}/nix-cache-info`, { headers })).status
    }
    expect([await asked('first-0123456789abcdef'), await asked('other-0123456789abcdef')]).toEqual([200, 401])
    writeFileSync(tokens, 'read other-0123456789abcdef\n')
    daemon.child.kill('SIGHUP')
    await daemon.says('read the tokens again')
    expect([await asked('first-0123456789abcdef'), await asked('other-0123456789abcdef')]).toEqual([401, 200])
  })

  test('--read-only takes nothing over either', async () => {
    const folder = temporaryFolder()
    const store = join(folder, 'store')
    expect((await neve(['import', '--store', store, sampleTree(folder)])).code).toBe(0)
    const flags = ['-l', join(folder, 'grpc'), '--http', '127.0.0.1:0', '--store', store, '--read-only']
    const daemon = await startDaemon(flags, {}, 'daemon')
    const put = await fetch(`${daemon.urls[1]}/${'0'.repeat(32)}.narinfo`, { method: 'PUT', body: 'x' })
    expect(put.status).toBe(403)
    const refused = await neve(['import', ...at(daemon.urls[0]!), sampleTree(temporaryFolder())])
    expect(refused.code).toBe(1)
  })

  test.each([
    [['--http', '0.0.0.0:0'], '--http 0.0.0.0:0 can be reached by others: give --token-file, --read-only'],
    [['--http', 'localhost:9000'], '--http'],
    [['--http', '-'], 'HTTP is not served over standard input'],
  ])('%j is refused', async (args, says) => {
    const folder = temporaryFolder()
    const ran = await neve(['daemon', '-l', join(folder, 's'), '--store', join(folder, 'store'), ...args])
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(ONE_LINE)])
    expect(ran.stderr).toContain(says)
  })
})
