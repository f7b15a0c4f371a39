import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startDaemon } from './servers.js'
import { neve, ONE_LINE, temporaryFolder } from './support.js'

const DAY = 86_400_000

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
  expect(await run('gc', '--dry-run')).toMatchObject({ code: 0, lines: [two] })
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

test.each([
  ['--min-free', '1G'],
  ['--gc-every', '1d', '--max-size', '1G'],
])('a daemon over an object store refuses %s', async (...flags) => {
  const address = `objectstore+file://${join(temporaryFolder(), 'bucket')}`
  const { code, stderr } = await neve(['daemon', '-l', '127.0.0.1:0', '--store', address, ...flags])
  expect([code, stderr]).toEqual([2, expect.stringContaining('embedded stores')])
})
