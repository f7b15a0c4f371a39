import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { ingestNar } from '@neve/store-pathinfo'
import { beforeEach, describe, expect, it } from 'vitest'
import { httpServer } from './http-server.js'
import { asIs, brotli, clientOf, one, serving } from './nix-http-cache.js'
import { failureOf, memoryServices } from './support.js'

let target: ReturnType<typeof memoryServices>
beforeEach(() => {
  target = memoryServices()
})
const service = (port: number, options: Parameters<typeof clientOf>[1] = {}) =>
  clientOf(port, { ...target, ...options })

describe('a hostile cache', () => {
  const hugeGzip = gzipSync(Buffer.concat([one.nar.subarray(0, 96), Buffer.alloc(64 * 2 ** 20)]))
  const rows: [string, (text: string) => string, Parameters<typeof serving>[1], object][] = [
    ['no narinfo at all', () => '<html>so sorry</html>', one.nar, { problem: 'narinfo' }],
    ['an endless narinfo', () => 'X: y\n'.repeat(1_000_000), one.nar, { problem: 'narinfo' }],
    ['a narinfo that is cut', (text) => text.slice(0, -10), one.nar, { problem: 'narinfo' }],
    [
      'the narinfo of another path',
      (text) => text.replace('s66mzxpv', 'a66mzxpv'),
      one.nar,
      { problem: 'other-path' },
    ],
    ['a wrong NAR', asIs, Buffer.from(one.nar).fill(1, 2000, 2008), { problem: 'nar' }],
    ['a NAR that is cut', asIs, one.nar.subarray(0, -8), { problem: 'nar' }],
    ['a NAR with something behind it', asIs, Buffer.concat([one.nar, Buffer.alloc(8)]), { problem: 'nar' }],
    ['no NAR but a page', asIs, Buffer.from('<html></html>'), { problem: 'nar' }],
    ['an empty NAR', asIs, Buffer.alloc(0), { problem: 'nar' }],
    ['no NAR', asIs, (response) => response.writeHead(404).end(), { problem: 'missing' }],
    [
      'a wrong size',
      (text) => text.replace(/^NarSize: .*$/m, 'NarSize: 1000'),
      one.nar,
      { problem: 'nar', cause: { mismatch: 'size' } },
    ],
    [
      'a size beyond every limit',
      (text) => text.replace(/^NarSize: .*$/m, 'NarSize: 18446744073709551615'),
      one.nar,
      { code: 'too-large' },
    ],
    [
      'a wrong hash',
      (text) => text.replace(/^NarHash: .*$/m, `NarHash: sha256:${'0'.repeat(52)}`),
      one.nar,
      { problem: 'nar', cause: { mismatch: 'hash' } },
    ],
    [
      'a wrong content address',
      (text) => `${text}CA: fixed:r:sha256:${'0'.repeat(52)}\n`,
      one.nar,
      { problem: 'nar', cause: { mismatch: 'content-address' } },
    ],
    [
      'a wrong file hash',
      (text) => text.replace('NarHash', `FileHash: sha256:${'0'.repeat(52)}\nNarHash`),
      one.nar,
      { problem: 'file' },
    ],
    [
      'a wrong file size',
      (text) => text.replace('NarHash', 'FileSize: 5\nNarHash'),
      one.nar,
      { problem: 'file' },
    ],
    [
      'a larger file size',
      (text) => text.replace('NarHash', 'FileSize: 5000000000\nNarHash'),
      one.nar,
      { problem: 'file' },
    ],
    [
      'a compression that nobody knows',
      (text) => text.replace('Compression: none', 'Compression: lzip'),
      one.nar,
      { problem: 'compression' },
    ],
    [
      'a decompression bomb',
      (text) => text.replace('Compression: none', 'Compression: gzip'),
      hugeGzip,
      { code: 'upstream' },
    ],
    [
      'damaged gzip',
      (text) => text.replace('Compression: none', 'Compression: gzip'),
      gzipSync(one.nar).fill(0, 100, 200),
      { problem: 'nar' },
    ],
    [
      'damaged brotli',
      (text) => text.replace('Compression: none', 'Compression: br'),
      Buffer.from(brotli).fill(0xff, 50, 200),
      { problem: 'nar' },
    ],
    [
      'an endless body',
      asIs,
      (response) => {
        const more = () => {
          while (!response.destroyed && response.write(one.nar));
        }
        response.on('drain', more)
        more()
      },
      { problem: 'nar' },
    ],
    [
      'redirects in a circle',
      asIs,
      (response) => response.writeHead(302, { location: '/nar/it.nar' }).end(),
      { problem: 'redirect' },
    ],
    [
      'a URL of another kind',
      (text) => text.replace('nar/it.nar', 'file:///etc/passwd'),
      one.nar,
      { problem: 'narinfo' },
    ],
  ]

  it.each(rows)('%s', { timeout: 20_000 }, async (_name, change, nar, expected) => {
    await using server = await httpServer(serving(change, nar))
    const upstream = service(server.port)
    const error = await failureOf(() => upstream.get(one.digest))
    expect(error).toMatchObject({ code: 'upstream', ...expected })
    // No directory can be reached, so no path info leads anywhere.
    expect(await allDirectories()).toBe(0)
  })

  it.each([
    ['nothing', 0],
    ['a slow drip', 20],
  ])('%s', async (_name, pause) => {
    await using server = await httpServer(
      serving(asIs, (response) => {
        response.writeHead(200)
        let at = 0
        const drip = setInterval(() => response.write(one.nar.subarray(at, ++at)), Math.max(1, pause))
        if (pause === 0) clearInterval(drip)
        response.on('close', () => clearInterval(drip))
      }),
    )
    const upstream = service(server.port, { timeout: 300, retries: 1 })
    const error = await failureOf(() => upstream.get(one.digest))
    expect(error).toMatchObject({ code: 'unavailable' })
    expect(error.message).toMatch(/got \d+ bytes in 300 ms/)
  })

  it('what is refused before it is read is let go of', async () => {
    let closed = () => {}
    const closing = new Promise<void>((resolve) => {
      closed = resolve
    })
    const tooLarge = (text: string) => text.replace(/^NarSize: .*$/m, 'NarSize: 18446744073709551615')
    await using server = await httpServer(
      serving(tooLarge, (response) => {
        response.on('close', closed)
        response.writeHead(200).write(one.nar.subarray(0, 8))
      }),
    )
    const controller = new AbortController()
    const error = await failureOf(() => service(server.port).get(one.digest, { signal: controller.signal }))
    expect(error).toMatchObject({ code: 'too-large' })
    await closing
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  it('a server that accepts and says nothing', async () => {
    await using server = await httpServer(() => {})
    const upstream = service(server.port, { timeout: 100, retries: 1 })
    await expect(upstream.get(one.digest)).rejects.toMatchObject({ code: 'unavailable' })
  })

  /** How many directories of the tree can be found. */
  async function allDirectories(): Promise<number> {
    const probe = memoryServices()
    const { node } = await ingestNar(probe, Readable.from([one.nar]))
    return node.kind === 'directory' && (await target.directories.get(node.digest)) !== undefined ? 1 : 0
  }
})
