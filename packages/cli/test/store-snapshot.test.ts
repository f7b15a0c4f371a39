import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { neve, newStore, noise, sampleTree, temporaryFolder } from './support.js'

test('a snapshot that is taken while an import runs is whole, has what was there before, and outlives the store', async () => {
  const { path, run } = newStore()
  const folder = temporaryFolder()
  const target = join(folder, 'copy')
  const [storePath] = (await run('import', sampleTree(folder))).lines
  const large = join(folder, 'large')
  writeFileSync(large, noise(60_000_000))
  const importing = run('import', large)
  const { code, lines, stderr } = await run('store', 'snapshot', '--json', target)
  expect([code, stderr]).toEqual([0, ''])
  expect(JSON.parse(lines[0]!)).toMatchObject({ path: target, segments: expect.any(Number) })
  expect((await importing).code).toBe(0)
  const nar = (await run('nar', storePath!)).stdout
  const again = await run('store', 'snapshot', target)
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('is not empty')])
  rmSync(path, { recursive: true })
  expect(await neve(['verify', '--all', '--nar', '--store', target])).toMatchObject({ code: 0, lines: [] })
  expect((await neve(['nar', '--store', target, storePath!])).stdout.equals(nar)).toBe(true)
  expect(await neve(['import', '--store', target, large])).toMatchObject({ code: 0 })
})
