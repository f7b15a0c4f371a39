import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcChunkStore,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { describe, expect, test } from 'vitest'
import { at, startDaemon, startSocketDaemon, whenGrown } from './servers.js'
import { missingProgram, neve, noise, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

/** Digest and store path of a tree, imported into a store of its own. */
async function imported(path: string, ...args: string[]): Promise<{ storePath: string; digest: string }> {
  const { stdout, stderr, code } = await neve(['import', '--json', path, ...args])
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout.toString())
}

describe('a store behind a daemon', () => {
  test('10#7 has the chunks and lists of newest Snix too, and checks lists at once when told to', async () => {
    const daemon = await startSocketDaemon('--verify-put')
    await using channel = await openGrpcChannel(daemon.urls[0]!)
    const chunks = new GrpcChunkStore(channel)
    const lists = new GrpcBlobListStore(channel)
    const content = noise(100_000)
    const pieces = [content.subarray(0, 60_000), content.subarray(60_000)]
    const list: { digest: B3Digest; size: bigint }[] = []
    for (const piece of pieces) {
      list.push({ digest: await chunks.put(piece), size: BigInt(piece.length) })
    }
    const digest = B3Digest.of(content)
    const reversed = lists.put(digest, [...list].reverse())
    await expect(reversed).rejects.toMatchObject({ code: 'invalid-request' })
    await lists.put(digest, list)
    const found = await neve(['cat', digest.toString(), '--store', daemon.store])
    expect(found.stdout.equals(content)).toBe(true)
    await channel.close()
    expect(await daemon.stop()).toBe(0)
  })

  test('import, ls, cat, stat, nar and export through it give what the tree has', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version'))
    const daemon = await startSocketDaemon()
    const folder = temporaryFolder()
    const tree = sampleTree(folder)
    const through = [...at(`grpc+unix:${daemon.socket}`), '--path-info-service-addr', join(folder, 'infos')]
    const { storePath, digest } = await imported(tree, ...through)
    const own = await imported(tree, '--store', join(folder, 'own'))
    expect({ storePath, digest }).toEqual({ storePath: own.storePath, digest: own.digest })

    const run = async (...args: string[]) => {
      const ran = await neve([...args, ...through])
      expect([ran.code, ran.stderr]).toEqual([0, ''])
      return ran
    }
    const dumped = execFileSync('nix-store', ['--dump', tree], { maxBuffer: 2 ** 28 })
    expect((await run('nar', storePath)).stdout.equals(dumped)).toBe(true)
    expect((await run('nar', digest)).stdout.equals(dumped)).toBe(true)
    const listed = await run('ls', '-lR', storePath)
    expect(
      listed.stdout.equals((await neve(['ls', '-lR', storePath, '--store', join(folder, 'own')])).stdout),
    ).toBe(true)
    expect((await run('cat', `${storePath}/bin/deep/large`)).stdout.equals(noise(3_000_000))).toBe(true)
    const facts = JSON.parse((await run('stat', '--json', storePath)).stdout.toString())
    expect(facts).toMatchObject({ digest, files: 6, missingChunks: 0 })
    expect(facts.storedBytes).toBeUndefined()
    expect((await run('stat', '--chunks', `${storePath}/bin/deep/large`)).stdout.toString()).toContain(
      'chunk ',
    )
    await run('export', storePath, join(folder, 'copy'))
    const copy = execFileSync('nix-store', ['--dump', join(folder, 'copy')], { maxBuffer: 2 ** 28 })
    expect(copy.equals(dumped)).toBe(true)

    // The same again sends nothing that is new.
    expect((await imported(tree, ...through)).storePath).toBe(storePath)
    // What it was given lies in the store that it serves.
    expect(await daemon.stop()).toBe(0)
    expect((await neve(['nar', digest, '--store', daemon.store])).stdout.equals(dumped)).toBe(true)
  })

  test('08#2 over TCP, on a port of its own', async () => {
    const folder = temporaryFolder()
    const { urls, stop } = await startDaemon(['-l', '127.0.0.1:0', '-l', '[::1]:0'], {
      NEVE_STORE: join(folder, 'served'),
    })
    expect(urls).toEqual([
      expect.stringMatching(/^grpc\+http:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^grpc\+http:\/\/\[::1\]:\d+$/),
    ])
    const tree = sampleTree(folder)
    const infos = ['--path-info-service-addr', join(folder, 'infos')]
    const { digest } = await imported(tree, ...at(urls[0]!), ...infos)
    const env = { BLOB_SERVICE_ADDR: urls[1], DIRECTORY_SERVICE_ADDR: urls[1] }
    const { stdout } = await neve(['cat', `${digest}/hello`], { env })
    expect(stdout.toString()).toBe('Hello World!')
    expect(await stop('SIGINT')).toBe(0)
  })

  test('08#3 the socket file: its mode, who has it, and that it goes', async () => {
    const { socket, store, stop } = await startSocketDaemon('--unix-listen-chmod', 'owner')
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    const second = await neve(['castore-daemon', '-l', socket, '--store', store])
    expect(second).toMatchObject({ code: 1 })
    expect(second.stderr).toMatch(ONE_LINE)
    expect(second.stderr).toContain('another server answers there')
    expect(await stop()).toBe(0)
    expect(existsSync(socket)).toBe(false)
  })

  test('08#3 what a killed daemon left of its socket is replaced when asked', async () => {
    const { socket, store, stop } = await startSocketDaemon()
    expect(await stop('SIGKILL')).toBe('SIGKILL')
    expect(existsSync(socket)).toBe(true)
    const refused = await neve(['castore-daemon', '-l', socket, '--store', store])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('a server that is gone')])
    const again = await startDaemon(['-l', socket, '--store', store, '--unix-listen-unlink'])
    expect(again.urls).toEqual([`grpc+unix:${socket}`])
    expect(await again.stop()).toBe(0)
    writeFileSync(socket, 'precious')
    const { code, stderr } = await neve(['castore-daemon', '-l', socket, '--store', store])
    expect([code, stderr]).toEqual([1, expect.stringContaining('a file that is no socket')])
    expect(readFileSync(socket, 'utf8')).toBe('precious')
  })

  test('--ready-fd is told when clients can connect', async () => {
    const { child, urls } = await startSocketDaemon('--ready-fd', '3')
    const told = await new Promise<string>((resolve) => {
      child.stdio[3]!.once('data', (piece: Buffer) => resolve(piece.toString()))
    })
    expect([told, urls.length]).toEqual(['\n', 1])
  })

  test('nobody listens: one line, status 1', async () => {
    const missing = `grpc+unix:${join(temporaryFolder(), 'none.sock')}`
    const { code, stderr, stdout } = await neve(['ls', 'f'.repeat(64), ...at(missing)])
    expect([code, stdout.length]).toEqual([1, 0])
    expect(stderr).toMatch(ONE_LINE)
  })
})

describe('a daemon that dies in the middle of an import', () => {
  test('the import fails in one line, and nothing half is visible', async () => {
    const daemon = await startSocketDaemon()
    const folder = temporaryFolder()
    const tree = join(folder, 'many')
    for (let sub = 0; sub < 12; sub++) {
      mkdirSync(join(tree, `sub ${sub}`), { recursive: true })
      for (let file = 0; file < 50; file++) {
        writeFileSync(join(tree, `sub ${sub}`, `file ${file}`), noise(20_000, 1 + sub * 50 + file))
      }
    }
    writeFileSync(join(tree, 'large'), noise(12_000_000))
    const infos = ['--path-info-service-addr', join(folder, 'infos')]
    const through = [...at(`grpc+unix:${daemon.socket}`), ...infos]
    const { code, stdout, stderr } = await neve(['import', tree, ...through], {
      // As soon as contents arrive.
      onStart: () => whenGrown(daemon.store, 1_000_000, () => daemon.child.kill('SIGKILL')),
    })
    expect([code, stdout.length]).toEqual([1, 0])
    expect(stderr).toMatch(ONE_LINE)
    await daemon.ended

    const own = await imported(tree, '--store', join(folder, 'own'))
    const local = ['--store', daemon.store]
    expect(await neve(['ls', own.digest, ...local])).toMatchObject({ code: 1 })
    expect(await neve(['ls', own.storePath, ...infos])).toMatchObject({ code: 1 })
    // The next daemon takes the rest.
    const again = await startDaemon(['-l', daemon.socket, '--store', daemon.store, '--unix-listen-unlink'])
    expect((await imported(tree, ...through)).digest).toBe(own.digest)
    expect(await again.stop()).toBe(0)
    const [a, b] = await Promise.all([
      neve(['nar', own.digest, ...local]),
      neve(['nar', own.digest, '--store', join(folder, 'own')]),
    ])
    expect([a.code, a.stdout.equals(b.stdout)]).toEqual([0, true])
  })

  test('08#8 a stop lets calls that run end; a second one does not wait', async () => {
    const daemon = await startSocketDaemon('--grace', '60')
    const content = noise(5_000_000)
    {
      await using channel = await openGrpcChannel(`grpc+unix:${daemon.socket}`)
      const blobs = new GrpcBlobService(channel)
      await using writer = blobs.openWrite()
      await writer.write(content)
      await writer.flush()
      // It is known to have begun: the next one is refused, or waits behind it.
      await blobs.has(B3Digest.of(content))
      daemon.child.kill('SIGTERM')
      await daemon.says('neve: stopping')
      await writer.write(content)
      const digest = await writer.close()
      expect(digest).toEqual(B3Digest.of(Buffer.concat([content, content])))
      expect(await daemon.ended).toBe(0)
      const { stdout } = await neve(['cat', digest.toHex(), '--store', daemon.store])
      expect(stdout.equals(Buffer.concat([content, content]))).toBe(true)
    }

    const other = await startDaemon(['-l', daemon.socket, '--store', daemon.store, '--grace', '60'])
    await using channel = await openGrpcChannel(`grpc+unix:${daemon.socket}`)
    const blobs = new GrpcBlobService(channel)
    await using stuck = blobs.openWrite()
    await stuck.write(content)
    await stuck.flush()
    await blobs.has(B3Digest.EMPTY)
    other.child.kill('SIGTERM')
    await other.says('neve: stopping')
    other.child.kill('SIGTERM')
    expect(await other.ended).toBe(143)
    await expect(stuck.close()).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('TLS', () => {
  test('with client certificates, only those who have one get in', async (context) => {
    requireReal(context, missingProgram('openssl', 'version'))
    const folder = temporaryFolder()
    const file = (name: string) => join(folder, name)
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
    const selfSigned = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    for (const name of ['server', 'client']) {
      openssl(
        ...[...selfSigned, '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`), '-days', '2'],
        ...['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      )
    }
    const daemon = await startDaemon([
      ...['-l', '0.0.0.0:0', '--store', file('store'), '--tls-cert', file('server.pem')],
      ...['--tls-key', file('server.key'), '--tls-client-ca', file('client.pem')],
    ])
    const host = `127.0.0.1:${daemon.urls[0]!.split(':').at(-1)}`
    const own = `tls-client-cert-path=${file('client.pem')}&tls-client-key-path=${file('client.key')}`
    const trusted = `grpc+https://${host}?tls-ca-cert-path=${file('server.pem')}`
    const absent = 'f'.repeat(64)
    const known = await neve(['ls', absent, ...at(`${trusted}&${own}`)])
    expect([known.code, known.stderr]).toEqual([1, expect.stringContaining('has no directory or blob')])
    for (const address of [trusted, `grpc+https://${host}?${own}`, `grpc+http://${host}`]) {
      const { code, stderr } = await neve(['ls', absent, ...at(address)])
      expect([code, stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
      expect(stderr).not.toContain('has no directory or blob')
    }
    expect(await daemon.stop()).toBe(0)
  })
})
