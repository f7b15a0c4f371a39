import { chmodSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLocalStore } from '@neve/store-pathinfo'
import { setRoot } from '@neve/store-pathinfo/gc'
import { describe, expect, test } from 'vitest'
import { startOnSocket } from './servers.js'
import { neve, newStore, sampleTree, temporaryFolder } from './support.js'

/** Two versions of one tree. */
async function twoVersions(): Promise<{ path: string; before: string; after: string }> {
  const { path, run } = newStore()
  const tree = sampleTree(temporaryFolder())
  const changed = sampleTree(temporaryFolder())
  writeFileSync(join(changed, 'hello'), 'Hello there!')
  chmodSync(join(changed, 'bin/run'), 0o644)
  renameSync(join(changed, 'bin/deep/large'), join(changed, 'bin/deep/moved'))
  const { lines } = await run('import', tree, changed)
  return { path, before: lines[0]!, after: lines[1]! }
}

describe('neve store diff', () => {
  test('prints what differs, in lines and in JSON', async () => {
    const { path, before, after } = await twoVersions()
    const told = await neve(['store', 'diff', '--store', path, before, after])
    expect(told).toMatchObject({ code: 0, stderr: '' })
    expect(told.lines).toEqual([
      '- bin/deep/large  3.0 MB',
      '+ bin/deep/moved  3.0 MB',
      'x bin/run  executable 18 B → 18 B',
      '~ hello  12 B → 12 B',
      '4 differences · 3.0 MB removed · 3.0 MB added, 3.0 MB of it known',
    ])
    const json = await neve(['store', 'diff', '--shared', '--json', '--store', path, before, after])
    const objects = json.lines.map((line) => JSON.parse(line))
    expect(objects.map(({ kind }) => kind)).toEqual([
      ...['removed', 'added', 'executable', 'changed'],
      undefined,
    ])
    expect(objects[2]).toMatchObject({
      path: 'bin/run',
      before: { executable: true },
      after: { executable: false },
    })
    expect(objects.at(-1)).toMatchObject({
      differences: 4,
      removedBytes: 3_000_012,
      addedBytes: 3_000_012,
      reusedBytes: 3_000_000,
      sharedBytes: 18 + 'odd name'.length + 'control'.length,
      beforeNarSize: expect.any(Number),
    })
    const same = await neve(['store', 'diff', '--store', path, before, before])
    expect(same.lines).toEqual(['0 differences · 0 B removed · 0 B added'])
  })

  test('works on a daemon, too, and on parts of trees', async () => {
    const { path, before, after } = await twoVersions()
    const { socket } = await startOnSocket('daemon', '--store', path)
    const store = `grpc+unix:${socket}`
    const told = await neve(['store', 'diff', '--store', store, `${before}/bin`, `${after}/bin`])
    expect([told.code, told.lines.length, told.lines[2]]).toEqual([0, 4, 'x run  executable 18 B → 18 B'])
  })
})

describe('neve store info and du', () => {
  test('tell what there is, and what is unique', async () => {
    const { path, before, after } = await twoVersions()
    const info = await neve(['store', 'info', '--store', path])
    expect(info).toMatchObject({ code: 0, stderr: '' })
    expect(info.lines[0]).toMatch(/^store paths +2 +6\.0 MB of NARs$/)
    expect(
      info.lines
        .slice(-2)
        .map((line) => line.split('  ')[1])
        .sort(),
    ).toEqual([before, after].sort())
    const json = JSON.parse(
      (await neve(['store', 'info', '--json', '--top', '1', '--store', path])).lines[0]!,
    )
    expect(json).toMatchObject({ pathInfos: 2, chunkedBlobs: 1, damagedPathInfos: 0 })
    expect(json.largest).toHaveLength(1)
    const du = await neve(['store', 'du', '--json', '--store', path, before])
    const [used] = du.lines.map((line) => JSON.parse(line))
    expect(used).toMatchObject({ address: before, closurePaths: 1, unique: { bytes: 12 } })
    expect(used.own.bytes).toBe(used.unique.bytes + used.shared.bytes)
    const text = await neve(['store', 'du', '--store', path, before, `${before}/bin`])
    expect(text.lines[0]).toMatch(
      /^\S+ {2}3\.0 MB \(3\.0 MB\) · closure .* · unique 12 B \(12 B\) · shared 3\.0 MB/,
    )
    expect(text.lines).toHaveLength(2)
  })

  test('are for embedded stores, and say so', async () => {
    const { socket } = await startOnSocket('daemon')
    const told = await neve(['store', 'info', '--store', `grpc+unix:${socket}`])
    expect([told.code, told.stderr]).toEqual([2, expect.stringContaining('works on an embedded store only')])
  })
})

test('neve store why names roots, or that there is none', async () => {
  const { path, before, after } = await twoVersions()
  {
    await using store = await openLocalStore(path)
    const { storePath } = await store.resolve(before)
    await setRoot(store.engine, { name: 'kept', target: storePath! })
  }
  const kept = await neve(['store', 'why', '--store', path, before])
  expect([kept.code, kept.lines]).toEqual([0, ['root kept', `  ${before}`]])
  const loose = await neve(['store', 'why', '--store', path, after])
  expect([loose.code, loose.lines]).toEqual([
    0,
    [expect.stringMatching(/^no root keeps it; last used 20\d\d-/)],
  ])
  const json = JSON.parse((await neve(['store', 'why', '--json', '--store', path, before])).lines[0]!)
  expect(json).toMatchObject({ storePath: before, roots: [{ name: 'kept', chain: [before] }], referrers: [] })
  const absent = await neve(['store', 'why', '--store', path, `${before}x`])
  expect([absent.code, absent.stderr]).toEqual([1, expect.stringContaining('is not in the store')])
})
