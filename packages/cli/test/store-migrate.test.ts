import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { neve, newStore, sampleTree, temporaryFolder } from './support.js'

test('a store is migrated, with directories made anew and a report', async () => {
  const { path, run } = newStore()
  const folder = temporaryFolder()
  const deep = join(folder, 'deep')
  mkdirSync(join(deep, 'a/b'), { recursive: true })
  writeFileSync(join(deep, 'a/b/file'), 'a file')
  const [sample, twice] = (await run('import', '--directory-sizes', 'twice', sampleTree(folder), deep)).lines
  const target = join(folder, 'target')
  const args = ['store', 'migrate', path, target, '--directory-sizes', 'once', '--json']
  const first = await neve(args)
  expect([first.code, first.stderr]).toEqual([0, ''])
  const objects = first.lines.map((line) => JSON.parse(line))
  const ofDeep = objects.find(({ storePath }) => storePath === twice)
  expect(ofDeep).toMatchObject({ rewrittenDirectories: 2, before: { kind: 'directory' } })
  expect(ofDeep.before.digest).not.toBe(ofDeep.after.digest)
  expect(objects.at(-1)).toMatchObject({ paths: 2, copiedPaths: 2, repointedPaths: 2, failedPaths: 0 })
  expect(await neve(['verify', '--store', target, '--all', '--nar'])).toMatchObject({ code: 0, lines: [] })
  const nars = await Promise.all([path, target].map((store) => neve(['nar', '--store', store, sample!])))
  expect(nars[0]!.stdout.equals(nars[1]!.stdout)).toBe(true)
  const again = await neve(args)
  expect([again.code, again.lines.length]).toEqual([0, 1])
  expect(JSON.parse(again.lines[0]!)).toMatchObject({ paths: 2, presentPaths: 2, bytes: 0 })
  const plain = await neve(['store', 'migrate', target, join(folder, 'third')])
  expect([plain.code, plain.lines.sort()]).toEqual([0, [sample, twice].sort()])
  expect(await neve(['store', 'migrate', '--store', path, path, target])).toMatchObject({ code: 2 })
})
