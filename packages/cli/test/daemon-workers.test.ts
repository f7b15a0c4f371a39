import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { describe, expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { missingProgram, neve, noise, ONE_LINE, requireReal, temporaryFolder } from './support.js'

/** The processes that a process started. */
function children(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

async function working(...args: string[]) {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const socket = join(folder, 'socket')
  const flags = ['--workers', '2', '-l', socket, '-l', '127.0.0.1:0', '--store', store, ...args]
  const daemon = await startDaemon(flags, {}, 'daemon')
  return { ...daemon, folder, store, socket, pid: daemon.child.pid! }
}

describe('workers', () => {
  test('serve the same store in turn, over every address', async () => {
    const daemon = await working()
    expect(children(daemon.pid)).toHaveLength(2)
    const content = noise(500_000)
    const digests = new Set<string>()
    for (const url of [...daemon.urls, ...daemon.urls]) {
      await using channel = await openGrpcChannel(url)
      const blobs = new GrpcBlobService(channel)
      digests.add((await blobs.put(content)).toHex())
      expect(content.equals((await blobs.get(B3Digest.of(content)))!)).toBe(true)
    }
    expect(digests.size).toBe(1)
    expect(await daemon.stop()).toBe(0)
    expect(existsSync(daemon.socket)).toBe(false)
  })

  test('that die are replaced, and the next call works', async () => {
    const daemon = await working()
    await using channel = await openGrpcChannel(daemon.urls[0]!)
    const blobs = new GrpcBlobService(channel)
    const digest = await blobs.put(noise(1000))
    const before = children(daemon.pid)
    for (const pid of before) {
      process.kill(pid, 'SIGKILL')
      await daemon.says(`worker ${pid} ended with SIGKILL: starting another`)
      expect(await untilConnected(() => blobs.has(digest))).toBe(true)
    }
    const after = children(daemon.pid)
    expect(after.filter((pid) => before.includes(pid))).toEqual([])
    expect(await daemon.stop()).toBe(0)
  })

  test('08#8 a stop lets their calls end', async () => {
    const daemon = await working('--grace', '60')
    await using channel = await openGrpcChannel(daemon.urls[1]!)
    const blobs = new GrpcBlobService(channel)
    const content = noise(2_000_000)
    await using writer = blobs.openWrite()
    await writer.write(content)
    await writer.flush()
    await blobs.has(B3Digest.of(content))
    daemon.child.kill('SIGTERM')
    await daemon.says('neve: stopping')
    await writer.write(content)
    expect(await writer.close()).toEqual(B3Digest.of(Buffer.concat([content, content])))
    expect(await daemon.ended).toBe(0)
  })

  test('a second stop ends them all at once', async () => {
    const daemon = await working('--grace', '60')
    const pids = children(daemon.pid)
    await using channel = await openGrpcChannel(daemon.urls[0]!)
    await using stuck = new GrpcBlobService(channel).openWrite()
    await stuck.write(noise(100_000))
    await stuck.flush()
    daemon.child.kill('SIGTERM')
    await daemon.says('neve: stopping')
    daemon.child.kill('SIGTERM')
    expect(await daemon.ended).toBe(143)
    expect(existsSync(daemon.socket)).toBe(false)
    await expect(stuck.close()).rejects.toMatchObject({ code: 'unavailable' })
    for (const pid of pids) await gone(pid)
  })

  test('none stays when the process that listens is killed', async () => {
    const daemon = await working()
    const pids = children(daemon.pid)
    expect(await daemon.stop('SIGKILL')).toBe('SIGKILL')
    for (const pid of pids) await gone(pid)
  })

  test('know tokens, and read them again', async () => {
    const tokens = join(temporaryFolder(), 'tokens')
    writeFileSync(tokens, 'read first-0123456789abcdef', { mode: 0o600 })
    const daemon = await working('--token-file', tokens)
    const asks = async (token: string): Promise<boolean> => {
      await using channel = await openGrpcChannel(daemon.urls[0]!, { token })
      return await new GrpcBlobService(channel).has(B3Digest.of(noise(5)))
    }
    expect(await asks('first-0123456789abcdef')).toBe(false)
    writeFileSync(tokens, 'read second-0123456789abcdef')
    daemon.child.kill('SIGHUP')
    await daemon.says('read the tokens again\nneve: read the tokens again\n')
    for (const _worker of [1, 2]) {
      await expect(asks('first-0123456789abcdef')).rejects.toThrow('a token that is known')
      expect(await asks('second-0123456789abcdef')).toBe(false)
    }
  })

  test('speak TLS', async (context) => {
    requireReal(context, missingProgram('openssl', 'version'))
    const folder = temporaryFolder()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const subject = ['-subj', '/CN=server', '-addext', 'subjectAltName=IP:127.0.0.1']
    execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    })
    const daemon = await working('--tls-cert', cert, '--tls-key', key)
    await using channel = await openGrpcChannel(`${daemon.urls[1]}?tls-ca-cert-path=${cert}`)
    const blobs = new GrpcBlobService(channel)
    expect(await blobs.has(await blobs.put(noise(500_000)))).toBe(true)
  })

  test.each([
    [['--blob-service-addr', 'memory:', '--directory-service-addr', 'memory:'], 'memory:'],
    [['--path-info-service-addr', 'lru:?capacity=10'], 'lru:'],
    [['--blob-service-addr', 'readonly:?store=memory%3A'], "is each one's own"],
    [['--store', 'memory:'], 'memory:'],
    [['--store', 'nix+https://cache.example.org?token=s3cr3t'], 'nix+https://cache.example.org is'],
  ])('are refused over what they cannot share: %j', async (flags, name) => {
    const folder = temporaryFolder()
    const env = { NEVE_STORE: join(folder, 'store') }
    const { code, stderr } = await neve(['daemon', '--workers', '2', '-l', join(folder, 's'), ...flags], {
      env,
    })
    expect([code, stderr]).toEqual([2, expect.stringMatching(ONE_LINE)])
    expect(stderr).toContain('--workers needs a store that processes can share')
    expect(stderr).toContain(name)
  })

  test('memory may be near a cache', async () => {
    const folder = temporaryFolder()
    const config = join(folder, 'stores.toml')
    const text = (memory: string) => `
[blobservices.default]
type = "cache"
near = "&near"
far = "&far"
[blobservices.near]
type = "${memory}"
[blobservices.far]
type = "embedded"
path = "${folder}/store"
[directoryservices.default]
type = "embedded"
path = "${folder}/store"
`
    writeFileSync(config, text('memory'))
    const flags = ['--workers', '2', '-l', join(folder, 's'), '--store-config', config]
    const daemon = await startDaemon(flags, { NEVE_STORE: join(folder, 'infos') }, 'daemon')
    expect(await daemon.stop()).toBe(0)
    writeFileSync(config, text('memory').replace('far = "&far"', 'far = "memory:"'))
    const refused = await neve(['daemon', ...flags])
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('default.far')])
  })

  test('that cannot start say why, once', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    const flags = ['--workers', '3', '-l', join(folder, 's'), '--store', join(folder, 'file')]
    const { code, stderr } = await neve(['daemon', ...flags])
    expect([code, stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
  })
})

/** A call that was on its way when its worker died may fail; the next one has to work. */
async function untilConnected<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch {
    return await call()
  }
}

/** Settles when a process has ended, whoever has to take note of it. */
async function gone(pid: number): Promise<void> {
  while (runs(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
}

function runs(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
