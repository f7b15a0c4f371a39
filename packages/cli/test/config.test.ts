import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { neve, temporaryFolder } from './support.js'

function configFile(text: string): string {
  const file = join(temporaryFolder(), 'stores.toml')
  writeFileSync(file, text)
  return file
}

const GOOD = `
[blobservices.default]
type = "cache"
near = "disk"
far = "verify:?store=%26disk"

[blobservices.disk]
type = "embedded"
path = "/nowhere/at/all"

[directoryservices.default]
type = "memory"
`

describe('config check', () => {
  test('draws what would be built, and builds nothing', async () => {
    const { code, stdout, stderr } = await neve(['config', 'check', configFile(GOOD)])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.toString()).toBe(
      [
        'blob default: cache',
        '├─ near = disk: embedded',
        '└─ far = verify: verify:?…',
        '   └─ store = disk: as above',
        'directory default: memory',
        '',
      ].join('\n'),
    )
  })

  test('tells every mistake with its line, and fails', async () => {
    const file = configFile(GOOD.replace('near', 'naer').replace('"memory"', '"memry"'))
    const { code, stderr } = await neve(['config', 'check', file])
    expect(code).toBe(1)
    const lines = stderr.trim().split('\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]).toContain(`${file}:2: blobservices.default.near: required key 'near' is missing`)
    expect(lines[1]).toContain(`${file}:4: blobservices.default.naer: unknown key 'naer'`)
    expect(lines[2]).toContain(`${file}:12: directoryservices.default.type: Unknown type: memry`)
  })

  test('warns of what nobody uses, and does not fail', async () => {
    const file = configFile(`${GOOD}\n[blobservices.spare]\ntype = "memory"\n`)
    const { code, stderr, stdout } = await neve(['config', 'check', file])
    expect(code).toBe(0)
    expect(stderr).toBe(
      `neve: warning: ${file}:14: blobservices.spare: blob:spare is not used by blob:default, directory:default\n`,
    )
    expect(stdout.toString()).toContain('blob spare: memory\n')
  })

  test('as JSON', async () => {
    const file = configFile(GOOD.replace('"memory"', '"memry"'))
    const { code, stdout, stderr } = await neve(['config', 'check', '--json', file])
    expect([code, stderr]).toEqual([1, ''])
    expect(JSON.parse(stdout.toString())).toMatchObject({
      file,
      ok: false,
      findings: [{ severity: 'error', line: 12 }],
      services: [{ kind: 'blob', name: 'default', type: 'cache' }],
    })
  })

  test.each([
    ['/dev/zero', 'expected at most 4194304 bytes'],
    ['/', 'illegal operation on a directory'],
  ])('a file that is none: %s', async (file, message) => {
    const { code, stderr } = await neve(['config', 'check', file])
    expect(code).toBe(2)
    expect(stderr).toContain(`neve: ${file}: cannot read the file: `)
    expect(stderr).toContain(message)
  })

  test('a file that is not there', async () => {
    const { code, stderr } = await neve(['config', 'check', '/nowhere/stores.toml'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^neve: \/nowhere\/stores\.toml: cannot read the file: .*\n$/)
  })
})

test('config schema prints a JSON Schema that knows the types', async () => {
  const { code, stdout } = await neve(['config', 'schema'])
  expect(code).toBe(0)
  const schema = JSON.parse(stdout.toString())
  expect(Object.keys(schema.properties)).toEqual(['blobservices', 'directoryservices', 'pathinfoservices'])
  expect(stdout.toString()).toContain('"objectstore"')
})
