import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { missingProgram, neve, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'
import { serving } from './whole-store-daemon.js'

describe('a whole store behind neve daemon', () => {
  test('import and nar through it, by the store path, equal Nix', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version'))
    const daemon = await serving()
    const tree = sampleTree(temporaryFolder())
    const imported = await neve(['import', tree, ...daemon.at])
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    const [storePath] = imported.lines
    expect(storePath).toBe((await neve(['import', tree, '--store', join(temporaryFolder(), 'own')])).lines[0])
    const dumped = execFileSync('nix-store', ['--dump', tree], { maxBuffer: 2 ** 28 })
    expect((await neve(['nar', storePath!, ...daemon.at])).stdout.equals(dumped)).toBe(true)
    // What it was given lies in the store that it serves, path info and all.
    expect(await daemon.stop()).toBe(0)
    expect((await neve(['nar', storePath!, '--store', daemon.store])).stdout.equals(dumped)).toBe(true)
  })

  test('--read-only gives, and takes nothing', async () => {
    const folder = temporaryFolder()
    const tree = sampleTree(folder)
    const store = join(folder, 'store')
    const [storePath] = (await neve(['import', tree, '--store', store])).lines
    const daemon = await serving('--read-only', '--store', store)
    const found = await neve(['cat', `${storePath}/hello`, ...daemon.at])
    expect(found.stdout.toString()).toBe('Hello World!')
    writeFileSync(join(folder, 'more'), 'more')
    const refused = await neve(['import', join(folder, 'more'), ...daemon.at])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(ONE_LINE)
    expect(refused.stderr).toContain('read-only')
    expect(await daemon.stop()).toBe(0)
  })
})

test('a composition file names all three kinds, root before default', async () => {
  const folder = temporaryFolder()
  const daemon = await serving()
  const [, address] = daemon.at
  const config = join(folder, 'stores.toml')
  writeFileSync(
    config,
    `
[blobservices.root]
type = "cache"
near = "&disk"
far = "&peer"
[blobservices.disk]
type = "embedded"
path = "${folder}/near"
[blobservices.peer]
type = "grpc"
url = "${address}"
[blobservices.default]
type = "memory"
[directoryservices.root]
type = "grpc"
url = "${address}"
[pathinfoservices.root]
type = "cache"
near = "&lru"
far = "&peer"
[pathinfoservices.lru]
type = "lru"
capacity = 1000
[pathinfoservices.peer]
type = "grpc"
url = "${address}"
`,
  )
  const tree = sampleTree(folder)
  const imported = await neve(['import', tree, '--store-config', config])
  expect([imported.code, imported.stderr]).toEqual([0, ''])
  const [storePath] = imported.lines
  expect((await neve(['cat', `${storePath}/hello`, '--store-config', config])).stdout.toString()).toBe(
    'Hello World!',
  )
  expect(await daemon.stop()).toBe(0)
  expect((await neve(['cat', `${storePath}/hello`, '--store', daemon.store])).stdout.toString()).toBe(
    'Hello World!',
  )
})
