import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorePath } from '@neve/nix-compat'
import { expect, test, vi } from 'vitest'
import { setLastUse } from './last-use.js'
import { startDaemon } from './servers.js'
import { neve, noise, ONE_LINE, type Ran, temporaryFolder } from './support.js'

const DAY = 86_400_000
const PATIENT = { timeout: 60_000, interval: 200 }

/** Makes all files below a folder look as if they had been written some days ago. */
function age(folder: string, days: number): void {
  const then = new Date(Date.now() - days * DAY)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name)
    if (statSync(path).isFile()) utimesSync(path, then, then)
  }
}

test('garbage in an object store goes, what has a root stays', async () => {
  const folder = temporaryFolder()
  const bucket = join(folder, 'bucket')
  const run = (...args: string[]) => neve(['--store', `objectstore+file://${bucket}`, ...args])
  const paths = ['one', 'two'].map((name) => join(folder, name))
  for (const path of paths) writeFileSync(path, `${path} `.repeat(5000))
  const [one] = (await run('import', '--add-root', 'first', paths[0]!)).lines as [string]
  const [two] = (await run('import', paths[1]!)).lines as [string]
  expect((await run('root', 'list')).lines).toEqual([`first\t${one}`])
  expect(await run('root', 'add', 'nix', '--folder', folder)).toMatchObject({ code: 2 })

  age(bucket, 9)
  const dry = await run('gc', '--dry-run')
  expect([dry.code, dry.lines]).toEqual([0, [expect.stringMatching(`^${two}\tno root, last used 20.*Z$`)]])
  const early = await run('gc', '--json')
  expect(early).toMatchObject({ code: 1, stderr: expect.stringMatching(ONE_LINE) })
  expect(JSON.parse(early.lines[0]!)).toMatchObject({
    paths: [two],
    freedBytes: 0,
    notBefore: expect.any(String),
  })
  expect((await run('path-info', two)).code).toBe(0)

  age(bucket, 9)
  expect(await run('gc', '--older-than', '30d')).toMatchObject({ code: 0, lines: [] })
  const json = await run('gc', '--json', '--max-freed', '10G')
  expect(json.code).toBe(0)
  expect(JSON.parse(json.lines[0]!)).toMatchObject({
    paths: [two],
    keptPaths: 1,
    notBefore: null,
    dryRun: false,
  })
  expect((await run('path-info', two)).code).toBe(1)
  expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })

  expect(await run('root', 'remove', 'first')).toMatchObject({ code: 0 })
  expect(await run('gc')).toMatchObject({ code: 1, stderr: expect.stringMatching(ONE_LINE) })
  age(bucket, 9)
  expect((await run('gc', '--all')).lines).toEqual([one])
})

test('a grace age is of object stores', async () => {
  const { code, stderr } = await neve(['gc', '--store', join(temporaryFolder(), 'store'), '--grace', '1h'])
  expect([code, stderr]).toEqual([2, expect.stringContaining('--grace')])
})

/** The sizes of all objects that garbage may be among. */
function sizeOf(bucket: string): number {
  const folders = ['neve/pathinfo', 'dirs', 'blobs', 'chunks'].map((name) => join(bucket, name))
  let bytes = 0
  for (const folder of folders.filter((name) => existsSync(name))) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const found = statSync(join(folder, name))
      if (found.isFile()) bytes += found.size
    }
  }
  return bytes
}

/** A bucket of three store paths that nobody has used for 20, 10 and 3 days, of which everybody knows that it is collected. */
async function threeIn(folder: string, address: string, bucket: string) {
  const run = (...args: string[]) => neve(['--store', address, ...args])
  const paths: string[] = []
  for (const [number, days] of [20, 10, 3].entries()) {
    const file = join(folder, `file-${number}`)
    writeFileSync(file, noise(100_000, number + 1))
    paths.push((await run('import', file)).lines[0]!)
    ageOf(bucket, paths[number]!, days)
  }
  expect((await run('gc', '--all')).code).toBe(1)
  age(join(bucket, 'neve/gc'), 9)
  for (const name of ['dirs', 'blobs', 'chunks']) {
    if (existsSync(join(bucket, name))) age(join(bucket, name), 30)
  }
  return { run, paths: paths as [string, string, string] }
}

/** Makes a store path look as if it had been used some days ago. */
function ageOf(bucket: string, path: string, days: number): void {
  const digest = Buffer.from(StorePath.parseFull(path).storePath.digest).toString('hex')
  const then = new Date(Date.now() - days * DAY)
  utimesSync(join(bucket, 'neve/pathinfo', digest.slice(0, 4), digest), then, then)
}

/** The store paths that a store tells of. */
async function toldBy(run: (...args: string[]) => Promise<Ran>): Promise<string[]> {
  return (await run('path-info', '--all')).lines.map((line) => line.split(/\s/)[0]!).sort()
}

test('what was used last stays in an object store, as far as it fits', async () => {
  const folder = temporaryFolder()
  const bucket = join(folder, 'bucket')
  const { run, paths } = await threeIn(folder, `objectstore+file://${bucket}`, bucket)
  const [one, two, three] = paths
  const dry = await run('gc', '--max-size', '150000', '--keep-used-within', '15d', '--dry-run')
  expect(dry.lines.sort()).toEqual(
    [
      expect.stringMatching(`^${one}\tno root, last used .*Z$`),
      expect.stringMatching(`^${two}\tno root, last used .*Z, no room for it$`),
    ].sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  )
  const json = JSON.parse((await run('gc', '--max-size', '250000', '--json')).lines[0]!)
  expect(json).toMatchObject({ paths: [one], reasons: [{ path: one, reason: 'size' }], keptPaths: 2 })
  expect(sizeOf(bucket)).toBeLessThanOrEqual(250_000)
  // Neither verifying nor listing is using.
  expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })
  expect(await toldBy(run)).toEqual([two, three].sort())
  expect((await run('gc', '--max-size', '150000')).lines).toEqual([two])
  expect((await run('gc', '--keep-used-within', '2d')).lines).toEqual([three])
})

test('a composition file says what an object store keeps, behind a cache that has rules of its own', async () => {
  const folder = temporaryFolder()
  const bucket = join(folder, 'bucket')
  const address = `objectstore+file://${bucket}`
  const { run, paths } = await threeIn(folder, address, bucket)
  const [one, two, three] = paths
  const config = join(folder, 'stores.toml')
  const near = `type = "embedded"\npath = ${JSON.stringify(join(folder, 'near'))}\n`
  const far = `type = "objectstore"\nobject_store_url = { env = "BUCKET" }\n`
  const write = (...rules: readonly [near: string, far: string]) => {
    const tables = ['blobservices', 'directoryservices', 'pathinfoservices'].map((table) => {
      const [ofNear, ofFar] = table === 'pathinfoservices' ? rules : ['', '']
      const cache = `[${table}.default]\ntype = "cache"\nnear = "near"\nfar = "far"\n`
      return `${cache}[${table}.near]\n${near}${ofNear}[${table}.far]\n${far}${ofFar}`
    })
    writeFileSync(config, tables.join(''))
  }
  const env = { BUCKET: `file://${bucket}` }
  const composed = (...args: string[]) => neve([...args, '--store', config], { env })
  // The cache alone is looked after, unless the file says what the bucket keeps.
  write('', '')
  expect((await composed('path-info', three)).code).toBe(0)
  expect(await composed('gc', '--older-than', '0s', '--all')).toMatchObject({ code: 0, lines: [three] })
  expect(await toldBy(run)).toEqual([...paths].sort())
  write('keep_used_within = "30d"\n', 'keep_used_within = "15d"\nmax_size = "150000"\n')
  expect((await composed('gc', '--dry-run')).lines.map((line) => line.split('\t')[0]).sort()).toEqual(
    [one, two].sort(),
  )
  expect(await composed('gc', '--keep-used-within', '30d', '--max-size', '1G')).toMatchObject({
    ...{ code: 0, lines: [] },
  })
  const socket = join(folder, 's.sock')
  const daemon = await startDaemon(['-l', socket, '--store', config, '--gc-every', '1s'], env, 'daemon')
  await vi.waitFor(async () => expect(await toldBy(run)).toEqual([three]), PATIENT)
  await daemon.says(`collected garbage in ${address}: `)
  expect(await daemon.stop()).toBe(0)
  // Its blobs and directories have to be known to lie there.
  writeFileSync(
    config,
    `[blobservices.default]\n${near}[directoryservices.default]\n${near}[pathinfoservices.default]\n${far}max_size = 1\n`,
  )
  const wrong = await composed('gc')
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('in the same place')])
})

test('caches of one daemon keep what each of them is told to, in a bucket and in a folder', async () => {
  const folder = temporaryFolder()
  const bucket = join(folder, 'bucket')
  const address = `objectstore+file://${bucket}`
  const { run, paths } = await threeIn(folder, address, bucket)
  const [, , three] = paths
  const near = join(folder, 'near')
  const file = join(folder, 'file')
  writeFileSync(file, noise(100_000, 9))
  const [fresh, stale] = (await neve(['import', '--store', near, file, join(folder, 'file-0')])).lines as [
    string,
    string,
  ]
  await setLastUse(near, stale, 9)
  const config = join(folder, 'caches.toml')
  writeFileSync(
    config,
    `[cache.bucket]\nstore = "${address}"\nmax-size = "150000"\ncache-files = "file://${folder}/files"\n[cache.folder]\nstore = "${near}"\nkeep-used-within = "8d"\n`,
  )
  const socket = join(folder, 's.sock')
  const flags = ['--store', join(folder, 'main'), '--cache-config', config]
  const daemon = await startDaemon(
    [
      '-l',
      socket,
      '--http',
      '127.0.0.1:0',
      ...flags,
      '--gc-every',
      '1s',
      '--gc-grace',
      '0s',
      '--max-size',
      '10G',
    ],
    {},
    'daemon',
  )
  await vi.waitFor(async () => expect(await toldBy(run)).toEqual([three]), PATIENT)
  const inFolder = (...args: string[]) => neve(['--store', near, ...args])
  await vi.waitFor(async () => expect(await toldBy(inFolder)).toEqual([fresh]), PATIENT)
  expect(await daemon.stop()).toBe(0)

  writeFileSync(config, `[cache.bucket]\nmax-size = "150000"\n`)
  const wrong = await neve(['nar-bridge', '-l', '127.0.0.1:0', ...flags])
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('a store of its own')])
})

test('a daemon collects garbage in an object store by its schedule, once all who write know of it', async () => {
  const folder = temporaryFolder()
  const bucket = join(folder, 'bucket')
  const address = `objectstore+file://${bucket}`
  const run = (...args: string[]) => neve(['--store', address, ...args])
  const files = ['one', 'two', 'three'].map((name) => join(folder, name))
  for (const file of files) writeFileSync(file, `${file} `.repeat(5000))
  const [one] = (await run('import', '--add-root', 'first', files[0]!)).lines as [string]
  const [two] = (await run('import', files[1]!)).lines as [string]
  age(bucket, 9)
  const [three] = (await run('import', files[2]!)).lines as [string]
  expect((await run('gc', '--dry-run', '--keep-used-within', '30d')).lines).toEqual([])
  const serve = () => {
    const place = ['-l', join(folder, 's.sock'), '--store', address]
    return startDaemon([...place, '--gc-every', '1s'], {}, 'daemon')
  }
  const first = await serve()
  await first.says(`found garbage in ${address}: 1 store path`)
  expect(await first.stop()).toBe(0)
  expect((await run('path-info', two)).code).toBe(0)

  age(join(bucket, 'neve/gc'), 9)
  age(bucket, 9)
  const [four] = (await run('import', files[2]!)).lines as [string]
  expect(four).toBe(three)
  const daemon = await serve()
  const collected = () => expect(daemon.stderr()).toMatch(/collected garbage in objectstore.*: [1-9]\d* entr/)
  await vi.waitFor(collected, { timeout: 60_000, interval: 200 })
  expect(await daemon.stop()).toBe(0)
  expect((await run('path-info', '--all')).lines.map((line) => line.split(/\s/)[0]).sort()).toEqual(
    [one, three].sort(),
  )
  expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })
})

test('a daemon over an object store refuses --min-free', async () => {
  const address = `objectstore+file://${join(temporaryFolder(), 'bucket')}`
  const { code, stderr } = await neve(['daemon', '-l', '127.0.0.1:0', '--store', address, '--min-free', '1G'])
  expect([code, stderr]).toEqual([2, expect.stringContaining('embedded stores')])
})
