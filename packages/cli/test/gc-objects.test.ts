import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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
