import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { dumpPath } from '@neve/nar/node'
import { parseNarInfo, SecretKey, StorePath } from '@neve/nix-compat'
import { CachePathInfoService, MemoryPathInfoService, renderNar } from '@neve/store-pathinfo'
import { beforeEach, describe, expect, it } from 'vitest'
import { makeRandomTree } from './host-trees.js'
import { files, httpServer } from './http-server.js'
import { asIs, brotli, clientOf, key, narInfoUrl, one, serving } from './nix-http-cache.js'
import { collect, failureOf, memoryServices, nixIsThere, temporaryFolder } from './support.js'

let target: ReturnType<typeof memoryServices>
beforeEach(() => {
  target = memoryServices()
})
const service = (port: number, options: Parameters<typeof clientOf>[1] = {}) =>
  clientOf(port, { ...target, ...options })

describe.skipIf(!nixIsThere)('a cache that Nix wrote (needs nix)', () => {
  const scratch = temporaryFolder()
  const environment = { ...process.env, HOME: scratch, NIX_CONF_DIR: scratch }
  const store = join(scratch, 'root')
  const nix = (program: string, ...args: string[]): string => {
    const result = spawnSync(program, args, { env: environment, encoding: 'utf8' })
    if (result.status !== 0) throw new Error(`${program} ${args[0]}: ${result.stderr}`)
    return result.stdout.trim()
  }
  const cacheOf = (compression: string): { cache: string; paths: string[]; trees: string[] } => {
    writeFileSync(
      join(scratch, 'nix.conf'),
      'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n',
    )
    const keyFile = join(scratch, 'key')
    writeFileSync(keyFile, key.toSecretText())
    const trees = [makeRandomTree(5, 40), makeRandomTree(6, 10)]
    const paths = trees.map((tree) => nix('nix-store', '--store', store, '--add', tree))
    nix('nix', 'store', 'sign', '--store', store, '-k', keyFile, ...paths)
    const cache = join(temporaryFolder(), 'cache')
    nix('nix', 'copy', '--store', store, '--to', `file://${cache}?compression=${compression}`, ...paths)
    return { cache, paths, trees }
  }

  it.each(['none', 'xz', 'bzip2', 'gzip', 'zstd', 'br'])(
    'with %s: what is fetched is byte for byte what was copied there',
    { timeout: 60_000 },
    async (compression) => {
      const { cache, paths, trees } = cacheOf(compression)
      await using server = await httpServer(files(cache))
      const upstream = service(server.port, { trustedPublicKeys: [key.publicKey] })
      for (const [i, path] of paths.entries()) {
        const { digest } = StorePath.parseAbsolute(path)
        expect(await upstream.has(digest)).toBe(true)
        const info = await upstream.get(digest)
        expect(info?.storePath.toAbsolute()).toBe(path)
        expect(info?.signatures.map(({ name }) => name)).toEqual([key.name])
        expect(info?.ca?.method).toBe('recursive')
        const expected = await collect(Readable.from(dumpPath(trees[i]!)))
        expect(Buffer.compare(await collect(renderNar(target, info!.node)), expected)).toBe(0)
        expect(info?.narSize).toBe(BigInt(expected.length))
      }
      expect(await upstream.get(new Uint8Array(20))).toBeUndefined()
      expect(await upstream.has(new Uint8Array(20))).toBe(false)
    },
  )
})

describe('a binary cache', () => {
  it('is asked once, however many ask, and not again behind a cache', async () => {
    await using server = await httpServer(serving(asIs))
    const cache = new CachePathInfoService({ near: new MemoryPathInfoService(), far: service(server.port) })
    await Promise.all(Array.from({ length: 50 }, () => cache.get(one.digest)))
    await cache.get(one.digest)
    expect(server.requests).toEqual([`GET ${narInfoUrl}`, 'GET /nar/it.nar'])
  })

  it('refuses puts and lists', async () => {
    const upstream = service(1)
    const info = { code: 'unsupported' }
    await expect(upstream.put(undefined as never)).rejects.toMatchObject(info)
    const list = async () => {
      for await (const _info of upstream.list());
    }
    await expect(list()).rejects.toMatchObject(info)
  })

  it('below a path, with a password', async () => {
    const seen: (string | undefined)[] = []
    await using server = await httpServer((request, response) => {
      seen.push(`${request.url} ${request.headers.authorization} ${request.headers['user-agent']}`)
      response.writeHead(404).end()
    })
    const address = `nix+http://user:pa%20ss@127.0.0.1:${server.port}/some/cache?force_download_nar=true`
    expect(await service(0, { address }).get(one.digest)).toBeUndefined()
    const secret = Buffer.from('user:pa ss').toString('base64')
    expect(seen).toEqual([`/some/cache${narInfoUrl} Basic ${secret} neve`])
  })

  it.each([
    [404, false],
    [403, false],
  ])('status %i is a miss', async (status, found) => {
    await using server = await httpServer((_request, response) => response.writeHead(status).end('no'))
    expect(await service(server.port).has(one.digest)).toBe(found)
    expect(await service(server.port).get(one.digest)).toBeUndefined()
  })

  it.each([
    [400, 'upstream', 1],
    [401, 'upstream', 1],
    [500, 'unavailable', 3],
    [503, 'unavailable', 3],
    [429, 'unavailable', 3],
  ])('status %i is %s, after %i questions', async (status, code, questions) => {
    await using server = await httpServer((_request, response) => response.writeHead(status).end('no'))
    await expect(service(server.port).get(one.digest)).rejects.toMatchObject({ code })
    expect(server.requests).toHaveLength(questions)
    await expect(service(server.port).has(one.digest)).rejects.toMatchObject({ code })
  })

  it('a server that recovers is asked again, for the narinfo and for the NAR', async () => {
    let failures = 0
    await using server = await httpServer((request, response) => {
      if (failures++ < 2) response.writeHead(502).end()
      else if (failures === 4) {
        // The NAR breaks off in the middle.
        response.writeHead(200, { 'content-length': one.nar.length })
        response.write(one.nar.subarray(0, 1000), () => response.destroy())
      } else serving(asIs)(request, response)
    })
    const info = await service(server.port).get(one.digest)
    expect(info?.narSize).toBe(BigInt(one.nar.length))
    expect(server.requests.filter((request) => request.includes('/nar/'))).toHaveLength(2)
  })

  it('encodings of the way, and of the file, are both undone', async () => {
    for (const [compression, encoding, bytes] of [
      ['none', 'gzip', gzipSync(one.nar)],
      ['none', 'br', brotli],
      ['br', 'br', brotli],
      ['br', undefined, brotli],
      ['gzip', undefined, gzipSync(one.nar)],
    ] as const) {
      const change = (text: string) => text.replace('Compression: none', `Compression: ${compression}`)
      await using server = await httpServer(
        serving(change, (response) =>
          response.writeHead(200, encoding === undefined ? {} : { 'content-encoding': encoding }).end(bytes),
        ),
      )
      expect((await service(server.port).get(one.digest))?.narSize).toBe(BigInt(one.nar.length))
    }
  })

  it('nobody there', async () => {
    const server = await httpServer(serving(asIs))
    await server.close()
    await expect(service(server.port).get(one.digest)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('a signal ends a download', async () => {
    await using server = await httpServer(
      serving(asIs, (response) => {
        response.writeHead(200)
        response.write(one.nar.subarray(0, 500))
      }),
    )
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const getting = service(server.port).get(one.digest, { signal: controller.signal })
    while (server.requests.length < 2) await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    await expect(getting).rejects.toBe(reason)
    await expect(service(server.port).get(one.digest, { signal: controller.signal })).rejects.toBe(reason)
  })
})

describe('signatures', () => {
  const trusting = [SecretKey.generate('other-1').publicKey, key.publicKey]
  const without = (text: string) => text.replace(/^Sig: .*\n/m, '')

  it('one of a trusted key is enough; without keys, none is needed', async () => {
    await using server = await httpServer(serving(asIs))
    expect(await service(server.port, { trustedPublicKeys: trusting }).get(one.digest)).toBeDefined()
    await using unsigned = await httpServer(serving(without))
    expect(await service(unsigned.port).get(one.digest)).toBeDefined()
  })

  const forged = key.sign('something else').toString()
  it.each<[string, (text: string) => string]>([
    ['none', without],
    ['one over something else', (text) => text.replace(/^Sig: .*$/m, `Sig: ${forged}`)],
    ['one of another name', (text) => text.replace(`Sig: ${key.name}`, 'Sig: cache.example.org-2')],
    [
      'one of a key that is not trusted',
      (text) => text.replace(/^Sig: .*$/m, `Sig: ${SecretKey.generate('x').sign('y')}`),
    ],
    ['a changed size', (text) => text.replace(/^NarSize: .*$/m, 'NarSize: 1')],
    ['a changed reference', (text) => text.replace('References: ', `References: ${one.storePath}`)],
  ])('refused, and nothing downloaded: %s', async (_name, change) => {
    await using server = await httpServer(serving(change))
    const upstream = service(server.port, { trustedPublicKeys: trusting })
    const error = await failureOf(() => upstream.get(one.digest))
    expect(error).toMatchObject({ name: 'StoreError', code: 'untrusted' })
    expect(error.message).toContain('cache.example.org-1')
    expect(server.requests).toEqual([`GET ${narInfoUrl}`])
  })

  it('keys of the address count too', async () => {
    await using server = await httpServer(serving(without))
    const address = `nix+http://127.0.0.1:${server.port}?trusted_public_keys[0]=${key.publicKey}`
    await expect(service(0, { address }).get(one.digest)).rejects.toMatchObject({ code: 'untrusted' })
  })
})

it('what the narinfo says beside the NAR comes with it', async () => {
  const deriver = 'ib3sh3pcz10wsmavxvkdbayhqivbghlq-hello-2.12.1.drv'
  await using server = await httpServer(serving((text) => text.replace('Sig:', `Deriver: ${deriver}\nSig:`)))
  const info = await service(server.port, { trustedPublicKeys: [key.publicKey] }).get(one.digest)
  expect(info?.deriver?.toString()).toBe(basename(deriver, '.drv'))
  expect(parseNarInfo(one.text).signatures).toEqual(info?.signatures)
})
