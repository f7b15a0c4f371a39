import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { S3_SECRET, VERSITYGW } from '../../castore-services/test/servers/versitygw.js'
import { at, startSocketDaemon, whenGrown } from './servers.js'
import { neve, noise, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

/** A tree in an embedded store of its own. */
async function sampleStore(): Promise<{ store: string; digest: string; nar: Buffer; tree: string }> {
  const folder = temporaryFolder()
  const tree = sampleTree(folder)
  const store = join(folder, 'store')
  const { stdout } = await neve(['import', '--json', tree, '--store', store])
  const { digest } = JSON.parse(stdout.toString())
  return { store, digest, tree, nar: (await neve(['nar', digest, '--store', store])).stdout }
}

describe('copying between stores of all kinds', () => {
  test('embedded, object files, gRPC, a composition, and back', async () => {
    const { store, digest, nar } = await sampleStore()
    const folder = temporaryFolder()
    const daemon = await startSocketDaemon()
    const config = join(folder, 'stores.toml')
    writeFileSync(
      config,
      `[blobservices.default]
type = "objectstore"
object_store_url = "file://${folder}/composed"
object_store_options = {}

[directoryservices.default]
type = "objectstore"
object_store_url = "file://${folder}/composed"
`,
    )
    const places = [
      store,
      `objectstore+file://${folder}/objects`,
      `grpc+unix:${daemon.socket}`,
      config,
      `embedded:${folder}/last`,
    ]
    for (let i = 1; i < places.length; i++) {
      const copy = ['copy-castore', places[i - 1]!, places[i]!, digest]
      const first = await neve([...copy, '--json'])
      expect([first.code, first.stderr]).toEqual([0, ''])
      const counts = { digest, kind: 'directory', directories: 4, blobs: 5, presentBlobs: 0 }
      expect(JSON.parse(first.stdout.toString())).toMatchObject(counts)
      // There is nothing left to do.
      const again = JSON.parse((await neve([...copy, '--json'])).stdout.toString())
      expect(again).toMatchObject({ digest, directories: 0, blobs: 0, bytes: 0 })
      expect(await neve(copy)).toMatchObject({ code: 0, stderr: '', lines: [digest] })
    }
    for (const options of [
      at(places[1]!),
      at(places[2]!),
      ['--store-config', config],
      ['--store', `${folder}/last`],
    ]) {
      expect((await neve(['nar', digest, ...options])).stdout.equals(nar)).toBe(true)
    }
  })

  test('a changed tree: only what is new travels', async () => {
    const { store, digest, tree } = await sampleStore()
    const folder = temporaryFolder()
    const target = `objectstore+file://${folder}/objects`
    expect(await neve(['copy-castore', store, target, digest])).toMatchObject({ code: 0 })
    writeFileSync(join(tree, 'bin/more'), 'more')
    const { stdout } = await neve(['import', '--json', tree, '--store', store])
    const changed = JSON.parse(stdout.toString()).digest
    const copied = JSON.parse(
      (await neve(['copy-castore', '--json', store, target, changed])).stdout.toString(),
    )
    expect(copied).toMatchObject({ directories: 2, blobs: 1, bytes: 4, readBytes: 4 })
    const expected = (await neve(['nar', changed, '--store', store])).stdout
    expect((await neve(['nar', changed, ...at(target)])).stdout.equals(expected)).toBe(true)
  })

  test('what is written to object files by one process is read by another', async () => {
    const { nar, tree } = await sampleStore()
    const folder = temporaryFolder()
    const through = at(`objectstore+file://${folder}/bucket`)
    const infos = ['--path-info-service-addr', join(folder, 'infos')]
    const { lines } = await neve(['import', tree, ...through, ...infos])
    expect((await neve(['nar', lines[0]!, ...through, ...infos])).stdout.equals(nar)).toBe(true)
    expect(readdirSync(join(folder, 'bucket')).sort()).toEqual(expect.arrayContaining(['blobs', 'dirs']))
  })

  test('a bucket that one process writes is read by another, and no secret is told', async (context) => {
    requireReal(context, VERSITYGW.missing)
    const server = await VERSITYGW.start()
    onTestFinished(() => server.process.stop())
    const { nar, tree, digest, store } = await sampleStore()
    const bucket = (key: string): string => {
      const options = new URLSearchParams({ ...server.options, aws_secret_access_key: key })
      return `objectstore+${server.url('prefix')}?${options}`
    }
    const infos = ['--path-info-service-addr', join(temporaryFolder(), 'infos')]
    const through = at(bucket(S3_SECRET))
    const { code, lines, stderr } = await neve(['import', tree, ...through, ...infos])
    expect([code, stderr]).toEqual([0, ''])
    expect((await neve(['nar', lines[0]!, ...through, ...infos])).stdout.equals(nar)).toBe(true)
    const copied = await neve(['copy-castore', '--json', store, bucket(S3_SECRET), digest])
    expect(JSON.parse(copied.stdout.toString())).toMatchObject({ directories: 0, blobs: 0 })

    const wrong = await neve(['ls', digest, ...at(bucket('s3cr3t-but-wrong'))])
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toMatch(ONE_LINE)
    expect(wrong.stderr).not.toContain('s3cr3t-but-wrong')
  })

  test('several digests: each on its own, in order; a blob too', async () => {
    const { store, digest } = await sampleStore()
    const absent = 'f'.repeat(64)
    const hello = '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c'
    const target = join(temporaryFolder(), 'target')
    const { code, lines, stderr } = await neve(['copy-castore', store, target, hello, absent, digest])
    expect([code, lines]).toEqual([1, [`blake3-${Buffer.from(hello, 'hex').toString('base64')}`, digest]])
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(`blake3-${Buffer.from(absent, 'hex').toString('base64')}`)
    expect((await neve(['cat', hello, '--store', target])).stdout.toString()).toBe('Hello World!')
  })

  test('a source that is not there, a daemon that is not there', async () => {
    const folder = temporaryFolder()
    const absent = 'f'.repeat(64)
    for (const [from, to] of [
      [join(folder, 'none'), join(folder, 'target')],
      [`grpc+unix:${folder}/none.sock`, join(folder, 'target')],
      [join(folder, 'target'), `grpc+unix:${folder}/none.sock`],
    ] as const) {
      const { code, stderr, stdout } = await neve(['copy-castore', from, to, absent])
      expect([code, stdout.length]).toEqual([1, 0])
      expect(stderr).toMatch(ONE_LINE)
    }
  })

  test('interrupted, it goes on where it ended', async () => {
    const folder = temporaryFolder()
    const store = join(folder, 'store')
    const tree = join(folder, 'large')
    writeFileSync(tree, noise(16_000_000))
    const { stdout } = await neve(['import', '--json', tree, '--store', store])
    const { digest } = JSON.parse(stdout.toString())
    const target = join(folder, 'target')
    const interrupted = await neve(['copy-castore', store, target, digest], {
      onStart: (child) => whenGrown(target, 1_000_000, () => child.kill('SIGINT')),
    })
    // Where the copy was quicker, there was nothing to interrupt.
    if (interrupted.code !== 0) {
      expect(interrupted.code).toBe(130)
      expect(await neve(['ls', digest, '--store', target])).toMatchObject({ code: 1 })
    }
    expect(await neve(['copy-castore', store, target, digest])).toMatchObject({ code: 0, lines: [digest] })
    expect((await neve(['cat', digest, '--store', target])).stdout.equals(noise(16_000_000))).toBe(true)
  })
})

describe('composition files', () => {
  test('mistakes are told with file and key, and without secrets', async () => {
    const folder = temporaryFolder()
    const config = join(folder, 'stores.toml')
    const directories = '[directoryservices.default]\ntype = "memory"\n'
    for (const [text, message] of [
      ['nonsense', 'stores.toml'],
      [directories, 'blobservices'],
      [`[blobservices.default]\ntype = "memory"\n`, 'directoryservices'],
      [`[blobservices.default]\ntype = "none"\n${directories}`, 'none'],
      [`[blobservices.default]\ntype = "memory"\nsecret = "s3cr3t"\n${directories}`, 'secret'],
      [`[blobservices.default]\ntype = "grpc"\nurl = "grpc+http://u:s3cr3t@x"\n${directories}`, 'url'],
      [`[blobservices.default]\ntype = "redb"\n${directories}`, 'redb'],
    ] as const) {
      writeFileSync(config, text)
      const { code, stderr, stdout } = await neve(['ls', 'f'.repeat(64), '--store-config', config])
      expect([text, code, stdout.length]).toEqual([text, 2, 0])
      expect(stderr).toMatch(ONE_LINE)
      expect(stderr).toContain(message)
      expect(stderr).not.toContain('s3cr3t')
    }
  })

  test('NEVE_STORE_CONFIG names one, and a flag goes before it', async () => {
    const { store, digest, nar } = await sampleStore()
    const folder = temporaryFolder()
    const config = join(folder, 'stores.toml')
    writeFileSync(
      config,
      `[blobservices.default]
type = "embedded"
path = "${store}"

[directoryservices.default]
type = "embedded"
path = "${store}"
`,
    )
    const env = { NEVE_STORE_CONFIG: config, NEVE_STORE: join(folder, 'none') }
    expect((await neve(['nar', digest], { env })).stdout.equals(nar)).toBe(true)
    const other = { ...env, NEVE_STORE_CONFIG: join(folder, 'none.toml') }
    expect((await neve(['nar', digest, '--store', store], { env: other })).stdout.equals(nar)).toBe(true)
    expect((await neve(['nar', digest, ...at(store)], { env: other })).stdout.equals(nar)).toBe(true)
    expect(await neve(['nar', digest], { env: other })).toMatchObject({ code: 2 })
  })
})
