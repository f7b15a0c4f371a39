import { chmodSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { B3Digest } from '@neve/castore-model'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcChunkStore,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { describe, expect, test } from 'vitest'
import { listenPlan } from '../src/daemon/listening.js'
import { grpcRequest } from '../src/daemon/options.js'
import { grpcurl, missingGrpcurl } from './grpcurl.js'
import { type Daemon, startDaemon } from './servers.js'
import { neve, noise, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

const READ = 'read-7f3c8a21d5e64b90'
const WRITE = 'write-1b9ac37e2f8d4056'

interface Guarded extends Daemon {
  readonly folder: string
  readonly tokens: string
  /** Options for a client. */
  readonly at: readonly string[]
}

async function guarded(...args: string[]): Promise<Guarded> {
  const folder = temporaryFolder()
  const tokens = join(folder, 'tokens')
  writeFileSync(tokens, `read ${READ}\nwrite ${WRITE}\n`, { mode: 0o600 })
  const store = ['--store', join(folder, 'store'), '--token-file', tokens]
  const daemon = await startDaemon(['-l', join(folder, 'socket'), ...store, ...args], {}, 'daemon')
  return { ...daemon, folder, tokens, at: all(daemon.urls[0]!) }
}

function all(url: string): string[] {
  return ['blob', 'directory', 'path-info'].flatMap((kind) => [`--${kind}-service-addr`, url])
}

describe('whom a daemon lets in', () => {
  test('08#2 it listens on loopback unless told otherwise', () => {
    const { places } = listenPlan([grpcRequest({})], {})
    expect(places.map(({ address }) => address)).toEqual([{ kind: 'tcp', host: '::1', port: 8000 }])
  })

  test.each([
    ['0.0.0.0:0', []],
    ['[::]:0', []],
    ['192.0.2.1:0', ['--tls-cert', 'x', '--tls-key', 'y']],
  ])('08 section 9: not everybody on %s, unless told so', async (address, more) => {
    const { code, stderr } = await neve(['daemon', '-l', address, ...more])
    expect([code, stderr]).toEqual([2, expect.stringMatching(ONE_LINE)])
    expect(stderr).toContain('give --tls-client-ca or --token-file, or --insecure to let in everybody')
  })

  test.each(['0.0.0.0:0', '[::]:0'])('everybody on %s with --insecure', async (address) => {
    const daemon = await startDaemon([
      '-l',
      address,
      '--insecure',
      '--store',
      join(temporaryFolder(), 'store'),
    ])
    await using channel = await openGrpcChannel(`grpc+http://127.0.0.1:${daemon.urls[0]!.split(':').at(-1)}`)
    expect(await new GrpcBlobService(channel).has(B3Digest.of(noise(5)))).toBe(false)
  })

  test('tokens over plain text on such an address are warned of', async () => {
    const daemon = await guarded('-l', '0.0.0.0:0')
    expect(daemon.stderr()).toContain('neve: warning: tokens come to 0.0.0.0:')
    expect((await guarded()).stderr()).not.toContain('tokens come')
  })
})

describe('tokens', () => {
  test('a token for writing imports, one for reading reads, and neither is shown', async () => {
    const daemon = await guarded()
    const tree = sampleTree(daemon.folder)
    const imported = await neve(['import', tree, ...daemon.at], { env: { NEVE_TOKEN: WRITE } })
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    const [storePath] = imported.lines
    const read = await neve(['cat', `${storePath}/hello`, ...daemon.at], { env: { NEVE_TOKEN: READ } })
    expect(read.stdout.toString()).toBe('Hello World!')

    writeFileSync(join(daemon.folder, 'more'), 'more')
    const refused = await neve(['import', join(daemon.folder, 'more'), ...daemon.at], {
      env: { NEVE_TOKEN: READ },
    })
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
    expect(refused.stderr).toContain('the token is for reading only')
    for (const env of [{}, { NEVE_TOKEN: '' }, { NEVE_TOKEN: `${WRITE}x` }]) {
      const stranger = await neve(['cat', `${storePath}/hello`, ...daemon.at], { env })
      expect([stranger.code, stranger.stdout.length]).toEqual([1, 0])
      expect(stranger.stderr).toContain('expected a token that is known')
      expect(stranger.stderr).not.toContain(WRITE)
    }
    expect(await daemon.stop()).toBe(0)
    expect(daemon.stderr()).not.toMatch(/7f3c8a21|1b9ac37e/)
  })

  test('an address names the file of its token, which goes before NEVE_TOKEN', async () => {
    const daemon = await guarded()
    const own = join(daemon.folder, 'own token')
    writeFileSync(own, `${WRITE}\n`, { mode: 0o600 })
    const at = all(`${daemon.urls[0]}?token-file=${encodeURIComponent(own)}`)
    const env = { NEVE_TOKEN: READ }
    const imported = await neve(['import', sampleTree(daemon.folder), ...at], { env })
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    chmodSync(own, 0o644)
    const open = await neve(['ls', imported.lines[0]!, ...at], { env })
    expect([open.code, open.stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
    expect(open.stderr).toContain('its mode is 0644')
  })

  test.each(['nonsense', '', `read ${READ}\nread ${READ}`])('a bad file is refused: %j', async (text) => {
    const tokens = join(temporaryFolder(), 'tokens')
    writeFileSync(tokens, text, { mode: 0o600 })
    const store = join(temporaryFolder(), 'store')
    const ran = await neve(['daemon', '-l', './socket', '--token-file', tokens, '--store', store])
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
    expect(ran.stderr).not.toContain(READ)
  })

  test('they are read again on SIGHUP, and stay when they cannot be', async () => {
    const daemon = await guarded()
    await using channel = await openGrpcChannel(daemon.urls[0]!, { token: READ })
    const blobs = new GrpcBlobService(channel)
    const digest = B3Digest.of(noise(5))
    expect(await blobs.has(digest)).toBe(false)
    writeFileSync(daemon.tokens, 'nonsense')
    daemon.child.kill('SIGHUP')
    await daemon.says("line 1: expected 'read TOKEN' or 'write TOKEN'")
    expect(await blobs.has(digest)).toBe(false)
    writeFileSync(daemon.tokens, `write ${WRITE}\n`)
    daemon.child.kill('SIGHUP')
    await daemon.says('neve: read the tokens again')
    await expect(blobs.has(digest)).rejects.toThrow('expected a token that is known')
  })

  test('they stand before chunks and lists of chunks, too', async () => {
    const daemon = await guarded()
    const chunk = noise(100)
    {
      await using channel = await openGrpcChannel(daemon.urls[0]!, { token: READ })
      const chunks = new GrpcChunkStore(channel)
      expect(await chunks.has(B3Digest.of(chunk))).toBe(false)
      await expect(chunks.put(chunk)).rejects.toThrow('for reading only')
      const lists = new GrpcBlobListStore(channel)
      await expect(
        lists.put(B3Digest.of(chunk), [{ digest: B3Digest.of(chunk), size: 100n }]),
      ).rejects.toThrow('for reading only')
    }
    await using channel = await openGrpcChannel(daemon.urls[0]!)
    await expect(new GrpcChunkStore(channel).has(B3Digest.of(chunk))).rejects.toThrow('a token that is known')
  })

  test('they stand before reflection, and not before health', async (context) => {
    requireReal(context, missingGrpcurl)
    const daemon = await guarded('-l', '127.0.0.1:0')
    const { host } = new URL(daemon.urls[1]!)
    await expect(grpcurl('-plaintext', host, 'list')).rejects.toMatchObject({
      stderr: expect.stringContaining('a token that is known'),
    })
    const header = ['-H', `authorization: Bearer ${READ}`]
    expect(await grpcurl('-plaintext', ...header, host, 'list')).toContain('snix.castore.v1.BlobService')
    // Without reflection it has to be told what there is to call.
    const proto = fileURLToPath(
      import.meta.resolve('@neve/castore-services/protos/grpc/health/v1/health.proto'),
    )
    const described = ['-import-path', dirname(proto), '-proto', proto]
    const check = 'grpc.health.v1.Health/Check'
    expect(await grpcurl('-plaintext', ...described, host, check)).toContain('SERVING')
  })

  test.each(['short', 'with a space in it', 'x'.repeat(513)])(
    '%j is refused before it is sent',
    async (token) => {
      await expect(openGrpcChannel('grpc+unix:/nowhere', { token })).rejects.toMatchObject({
        code: 'invalid-input',
      })
      await expect(openGrpcChannel('grpc+unix:/nowhere', { token })).rejects.not.toThrow(token)
    },
  )
})
