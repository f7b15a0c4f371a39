import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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

  expect(await run('gc', '--older-than', '0', '--dry-run')).toMatchObject({ code: 0, lines: [three] })
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
  expect(rest.lines.sort()).toEqual([...lines].sort())
})

test.each([
  [['root', 'add', 'x'], 'needs a store path or digest'],
  [['root', 'add', 'x', 'nonsense'], 'expected a store path'],
  [['root', 'list', 'x'], 'takes no arguments'],
  [['root', 'remove'], 'needs a name'],
  [['root', 'remove', 'x', 'y'], 'takes a name only'],
  [['gc', '--older-than', 'soon'], '--older-than "soon"'],
  [['gc', '--max-freed', 'much'], '--max-freed "much"'],
  [['gc', '--store', 'memory:'], 'embedded store'],
])('%j is refused with a hint', async (args, hint) => {
  const { path } = newStore()
  const store = args.includes('--store') ? [] : ['--store', path]
  const { code, stderr } = await neve([...args, ...store])
  expect([code, stderr]).toEqual([2, expect.stringContaining(hint)])
})
