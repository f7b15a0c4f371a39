import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectGarbage } from '@neve/store-pathinfo/gc'
import { expect, test } from 'vitest'
import { setLastUse } from './last-use.js'
import { neve, newStore, ONE_LINE, temporaryFolder } from './support.js'
import { serving } from './whole-store-daemon.js'

function files(): string[] {
  const folder = temporaryFolder()
  return ['one', 'two', 'three'].map((name) => {
    const path = join(folder, name)
    writeFileSync(path, `${name} `.repeat(5000))
    return path
  })
}

test('what has a root stays, the rest goes, and its space with it', async () => {
  const { run } = newStore()
  const [one, two, three] = (await run('import', ...files())).lines as [string, string, string]
  expect(await run('root', 'add', 'first', one)).toMatchObject({ code: 0, stderr: '' })
  const roots = temporaryFolder()
  mkdirSync(join(roots, 'auto'))
  symlinkSync(two, join(roots, 'auto', 'result'))
  expect(await run('root', 'add', 'links', '--folder', roots)).toMatchObject({ code: 0, stderr: '' })
  expect((await run('root', 'list')).lines).toEqual([`first\t${one}`, `links\t${roots}`])
  expect(JSON.parse((await run('root', 'list', '--json')).lines[0]!)).toEqual({ name: 'first', target: one })
  // Just stored.
  expect(await run('gc')).toMatchObject({ code: 0, stderr: '', lines: [] })

  const dry = await run('gc', '--older-than', '0', '--dry-run')
  expect([dry.code, dry.lines.map((line) => line.split('\t')[0])]).toEqual([0, [three]])
  expect(dry.stdout.toString()).toMatch(/\tno root, last used 20\d\d-.*Z\n$/)
  expect((await run('path-info', three)).code).toBe(0)
  const json = await run('gc', '--older-than', '0s', '--json')
  expect(JSON.parse(json.lines[0]!)).toMatchObject({
    paths: [three],
    keptPaths: 2,
    waitingFor: [],
    dryRun: false,
  })
  expect((await run('path-info', three)).code).toBe(1)
  expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })

  expect((await run('root', 'remove', 'first')).code).toBe(0)
  expect((await run('gc', '--older-than', '0')).lines).toEqual([one])
  expect((await run('cat', two)).stdout.toString()).toBe('two '.repeat(5000))
})

test('what is imported with a root has never been garbage', async () => {
  const { run } = newStore()
  const [one, two, three] = files() as [string, string, string]
  const imported = await run('import', '--add-root', 'one', one)
  expect(imported).toMatchObject({ code: 0, stderr: '' })
  expect((await run('root', 'list')).lines).toEqual([`one\t${imported.lines[0]}`])
  const { lines } = await run('import', two)
  expect((await run('gc', '--older-than', '0')).lines).toEqual(lines)
  expect(await run('import', '--add-root', 'both', two, three)).toMatchObject({ code: 2, lines: [] })
  expect(await run('import', '--add-root', '', three)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(ONE_LINE),
  })
})

test('without roots nothing goes, unless that is meant', async () => {
  const { run } = newStore()
  const { lines } = await run('import', ...files())
  const refused = await run('gc')
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('neve root add')])
  expect(refused.stderr).toMatch(ONE_LINE)
  expect((await run('path-info', lines[0]!)).code).toBe(0)
  expect((await run('gc', '--all', '--older-than', '0')).lines.sort()).toEqual([...lines].sort())
  expect((await run('path-info', lines[0]!)).code).toBe(1)
})

test('garbage goes while a daemon runs and serves', async () => {
  const daemon = await serving('--gc-grace', '0s')
  const [one, two] = files()
  const refused = await neve(['import', '--add-root', 'one', one!, ...daemon.at])
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('embedded store')])
  const imported = await neve(['import', one!, two!, ...daemon.at])
  const [kept, garbage] = imported.lines as [string, string]
  const here = ['--store', daemon.store]
  expect(await neve(['root', 'add', 'kept', kept, ...here])).toMatchObject({ code: 0, stderr: '' })
  const collected = await neve(['gc', '--older-than', '0', '--json', ...here])
  expect(JSON.parse(collected.lines[0]!)).toMatchObject({ paths: [garbage], waitingFor: [] })
  expect(collected.code).toBe(0)
  expect((await neve(['path-info', garbage, ...daemon.at])).code).toBe(1)
  expect((await neve(['cat', kept, ...daemon.at])).stdout.toString()).toBe('one '.repeat(5000))
  // It is stored anew.
  expect((await neve(['import', two!, ...daemon.at])).lines).toEqual([garbage])
  expect((await neve(['cat', garbage, ...daemon.at])).stdout.toString()).toBe('two '.repeat(5000))
  expect(await neve(['verify', '--all', '--nar', ...here])).toMatchObject({ code: 0, lines: [] })
})

test('a daemon lets garbage go only when its clients had their time', async () => {
  const daemon = await serving('--gc-grace', '1h')
  const [one, two] = files()
  const { lines } = await neve(['import', one!, two!, ...daemon.at])
  const here = ['--store', daemon.store]
  const collected = await neve(['gc', '--older-than', '0', '--all', '--wait', '3s', '--json', ...here])
  expect(JSON.parse(collected.lines[0]!)).toMatchObject({ waitingFor: [daemon.child.pid] })
  expect(collected.code).toBe(1)
  // It says so to nobody any more, and has it nevertheless.
  expect((await neve(['import', one!, ...daemon.at])).lines).toEqual(lines.slice(0, 1))
  expect(await daemon.stop()).toBe(0)
  const rest = await neve(['gc', '--older-than', '0', '--all', '--dry-run', ...here])
  expect(rest.lines.map((line) => line.split('\t')[0]).sort()).toEqual([...lines].sort())
})

test('what was used lately is kept, and of that what fits', async () => {
  const { path: store, run } = newStore()
  const [one, two, three] = (await run('import', ...files())).lines as [string, string, string]
  for (const [path, days] of [
    [one, 1],
    [two, 20],
    [three, 50],
  ] as const)
    await setLastUse(store, path, days)
  const goes = async (...args: string[]) => {
    const { code, lines, stderr } = await run('gc', '--dry-run', ...args)
    expect([code, stderr]).toEqual([0, ''])
    return lines.map((line) => [line.split('\t')[0], line.endsWith(', no room for it')])
  }
  expect(await goes('--keep-used-within', '30d')).toEqual([[three, false]])
  expect(await goes('--max-size', '100G')).toEqual([])
  expect((await goes('--max-size', '0')).map(([path]) => path).sort()).toEqual([one, two, three].sort())
  const limit = ['--max-size', `${await sizeOf(store, one)}`]
  expect((await goes(...limit)).sort()).toEqual(
    [
      [two, true],
      [three, true],
    ].sort(),
  )
  const both = ['--keep-used-within', '30d', ...limit]
  expect((await goes(...both)).sort()).toEqual(
    [
      [two, true],
      [three, false],
    ].sort(),
  )
  expect((await run('root', 'add', 'three', three)).code).toBe(0)
  expect((await goes('--keep-used-within', '2d')).sort()).toEqual([[two, false]])
  const json = JSON.parse((await run('gc', '--keep-used-within', '2d', '--json')).lines[0]!)
  expect(json).toMatchObject({ store, paths: [two], reasons: [{ path: two, reason: 'unused' }] })
  expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })
  expect((await run('cat', three)).stdout.toString()).toBe('three '.repeat(5000))
})

/** What a store path takes, by trying it: the least limit under which it stays, in bytes. */
async function sizeOf(store: string, path: string): Promise<number> {
  let [low, high] = [0, 10_000]
  while (high - low > 1) {
    const maxSize = (low + high) >> 1
    const { paths } = await collectGarbage(store, { dryRun: true, maxSize })
    if (paths.some((one) => one.toAbsolute() === path)) low = maxSize
    else high = maxSize
  }
  return high
}

test('a composition file says what its path infos keep', async () => {
  const { path: store, run } = newStore()
  const [one, two, three] = (await run('import', ...files())).lines as [string, string, string]
  for (const [path, days] of [
    [one, 1],
    [two, 20],
    [three, 50],
  ] as const)
    await setLastUse(store, path, days)
  const file = join(temporaryFolder(), 'stores.toml')
  const instance = `type = "embedded"\npath = ${JSON.stringify(store)}\n`
  const near = `type = "cache"\nnear = "near"\nfar = "memory:"\n`
  const tables = ['blobservices', 'directoryservices', 'pathinfoservices'].map(
    (table) => `[${table}.default]\n${near}[${table}.near]\n${instance}`,
  )
  writeFileSync(file, `${tables.join('')}keep_used_within = "30d"\nmax_size = "1G"\n`)
  const dry = await neve(['gc', '--store', file, '--dry-run'])
  expect([dry.stderr, dry.lines.map((line) => line.split('\t')[0])]).toEqual(['', [three]])
  const flags = await neve(['gc', '--store', file, '--keep-used-within', '10d'])
  expect([flags.stderr, flags.lines.sort()]).toEqual(['', [two, three].sort()])
  expect((await run('path-info', one)).code).toBe(0)
  expect((await run('path-info', two)).code).toBe(1)
  writeFileSync(file, `${tables.join('')}max_size = "much"\n`)
  const wrong = await neve(['gc', '--store', file])
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('max_size: expected a size')])
})

test.each([
  [['root', 'add', 'x'], 'needs a store path or digest'],
  [['root', 'add', 'x', 'nonsense'], 'expected a store path'],
  [['root', 'list', 'x'], 'takes no arguments'],
  [['root', 'remove'], 'needs a name'],
  [['root', 'remove', 'x', 'y'], 'takes a name only'],
  [['gc', '--older-than', 'soon'], '--older-than "soon"'],
  [['gc', '--max-freed', 'much'], '--max-freed "much"'],
  [['gc', '--max-size', 'much'], '--max-size "much"'],
  [['gc', '--keep-used-within', 'soon'], '--keep-used-within "soon"'],
  [['gc', '--store', 'memory:'], 'embedded store'],
])('%j is refused with a hint', async (args, hint) => {
  const { path } = newStore()
  const store = args.includes('--store') ? [] : ['--store', path]
  const { code, stderr } = await neve([...args, ...store])
  expect([code, stderr]).toEqual([2, expect.stringContaining(hint)])
})
