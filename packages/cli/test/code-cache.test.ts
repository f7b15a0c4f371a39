import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readCodeCache } from '../src/bundle/code-cache.js'
import { neve, temporaryFolder } from './support.js'

const DIST = fileURLToPath(new URL('../dist', import.meta.url))
const HEADER = 128

/** A copy of the built command, where its packages find what they need. */
function copyOfCommand(): string {
  const folder = mkdtempSync(fileURLToPath(new URL('../node_modules/.neve-copy-', import.meta.url)))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(DIST, folder, { recursive: true, filter: (path) => !path.endsWith('.map') })
  return folder
}

const cachesIn = (dist: string): string[] =>
  readdirSync(join(dist, 'bundle'))
    .filter((name) => name.endsWith('.cache'))
    .map((name) => join(dist, 'bundle', name))

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
}

describe('what is kept of compiled code', () => {
  it('is there for commands and threads', () => {
    const names = cachesIn(DIST).map((path) => path.slice(join(DIST, 'bundle/').length))
    const expected = ['main', 'main.import', 'main.nar', 'main.mount', 'filesystem-worker', 'content-worker']
    expect(names).toEqual(
      expect.arrayContaining([...expected, 'mount-thread'].map((name) => `${name}.cache`)),
    )
  })

  it.each(['main', 'main.import', 'filesystem-worker'])('is accepted by V8: %s', (name) => {
    const bundle = join(DIST, 'bundle', `${name.split('.')[0]}.cjs`)
    const program = `
      require('node:v8').setFlagsFromString('--heap-growing-percent=300')
      const [bundle, cache] = process.argv.slice(1)
      const { readFileSync } = require('node:fs')
      const cachedData = readFileSync(cache).subarray(${HEADER})
      const script = new (require('node:vm').Script)(readFileSync(bundle, 'latin1'), { cachedData })
      process.stdout.write(String(script.cachedDataRejected))`
    const cache = join(DIST, 'bundle', `${name}.cache`)
    expect(execFileSync(process.execPath, ['-e', program, bundle, cache]).toString()).toBe('false')
  })

  describe('is read', () => {
    const bundle = join(DIST, 'bundle/main.cjs')
    const source = () => readFileSync(bundle, 'latin1')

    function copyOfCache(): string {
      const path = join(temporaryFolder(), 'main.cache')
      writeFileSync(path, readFileSync(join(DIST, 'bundle/main.cache')), { mode: 0o644 })
      return path
    }

    it('as it was written, the first that is there', () => {
      const path = copyOfCache()
      const data = readCodeCache([`${path}.absent`, path], source(), bundle)
      expect(data?.equals(readFileSync(path).subarray(HEADER))).toBe(true)
    })

    it.each<[string, (path: string) => void]>([
      ['of another version of Node.js', (path) => flipByte(path, 72)],
      ['of another text', (path) => flipByte(path, 10)],
      ['damaged', (path) => flipByte(path, HEADER + 5000)],
      ['cut off', (path) => truncateSync(path, 100_000)],
      ['cut off in what goes before', (path) => truncateSync(path, 40)],
      ['empty', (path) => truncateSync(path)],
      ['writable by its group', (path) => chmodSync(path, 0o664)],
      ['writable by everybody', (path) => chmodSync(path, 0o646)],
      ['absent', (path) => rmSync(path)],
    ])('not when it is %s', (_, change) => {
      const path = copyOfCache()
      change(path)
      expect(readCodeCache([path], source(), bundle)).toBeUndefined()
    })

    it.skipIf(process.getuid?.() !== 0)('not when it is somebody else’s', () => {
      const path = copyOfCache()
      chownSync(path, 65_534, 65_534)
      expect(readCodeCache([path], source(), bundle)).toBeUndefined()
    })
  })

  it.each<[string, (path: string) => void]>([
    ['damaged', (path) => flipByte(path, HEADER + 5000)],
    ['of another version', (path) => flipByte(path, 72)],
    ['missing', (path) => rmSync(path)],
  ])('need not be there: the command works the same when it is %s', async (_, change) => {
    const dist = copyOfCommand()
    for (const path of cachesIn(dist)) change(path)
    const tree = join(temporaryFolder(), 'tree')
    cpSync(join(DIST, 'bundle'), tree, { recursive: true })
    const args = ['import', '--store', join(temporaryFolder(), 'store'), tree]
    const { code, lines } = await neve(args)
    expect(code).toBe(0)
    const copy = spawnSync(process.execPath, [join(dist, 'neve.js'), ...args], { encoding: 'utf8' })
    expect(copy).toMatchObject({ status: 0, stdout: `${lines[0]}\n`, stderr: '' })
  })
})
