import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingProgram, neve, newStore, noise, ONE_LINE, requireReal, sampleTree } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'neve-cli-reading-'))
const store = join(folder, 'store')
const run = (...args: string[]) => neve(['--store', store, ...args])
/** Through a shell, which can pass any bytes on. */
const shell = (args: string) => neve([], { through: ['bash', '-c', `"$0" "$1" --store '${store}' ${args}`] })
let tree: string
let storePath: string
let digest: string

beforeAll(async () => {
  tree = sampleTree(folder)
  const [line] = (await run('import', '--json', tree)).lines
  ;({ storePath, digest } = JSON.parse(line!))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('ls', () => {
  const NAMES = ['aa', 'bin', 'caf\xe9', 'empty', 'hello', 'new\nline', 'nothing']

  test('lists names in the order of their bytes, as they are when piped', async () => {
    const { code, stdout, stderr } = await run('ls', storePath)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.toString('latin1')).toBe(NAMES.map((name) => `${name}\n`).join(''))
  })

  test.each([
    ['a digest', () => digest],
    ['a bare store path', () => storePath.slice('/nix/store/'.length)],
    ['a store path with a slash behind it', () => `${storePath}/`],
    ['a digest in hex', () => Buffer.from(digest.slice('blake3-'.length), 'base64').toString('hex')],
  ])('takes %s', async (_, address) => {
    expect((await run('ls', address())).stdout.equals((await run('ls', storePath)).stdout)).toBe(true)
  })

  test('-l shows modes, sizes and targets', async () => {
    const { lines } = await run('ls', '-l', `${storePath}/bin`)
    expect(lines).toEqual(['lrwxrwxrwx 10 dangling -> ../nowhere', 'dr-xr-xr-x  1 deep', '-r-xr-xr-x 18 run'])
  })

  test('-R lists everything below, by path, and --json says what it is', async () => {
    const { lines } = await run('ls', '-R', '--json', storePath)
    const entries = lines.map((line) => JSON.parse(line))
    expect(entries.map(({ name }) => name)).toEqual([
      'aa',
      'bin',
      'bin/dangling',
      'bin/deep',
      'bin/deep/large',
      'bin/run',
      'caf\ufffd',
      'empty',
      'hello',
      'new\nline',
      'nothing',
    ])
    expect(entries[0]).toEqual({ name: 'aa', kind: 'symlink', target: '/nix/store/somewhereelse' })
    expect(entries[5]).toMatchObject({ kind: 'file', size: 18, executable: true })
    expect(Buffer.from(entries[6].nameBase64, 'base64').toString('latin1')).toBe('caf\xe9')
    expect(entries[8]).not.toHaveProperty('nameBase64')
    expect((await run('ls', '-R', `${storePath}/bin`)).lines).toEqual([
      'dangling',
      'deep',
      'deep/large',
      'run',
    ])
  })

  test('of a file or a link is the thing itself; of an empty directory nothing', async () => {
    expect((await run('ls', '-l', `${storePath}/hello`)).lines).toEqual(['-r--r--r-- 12 hello'])
    expect((await run('ls', `${storePath}/aa`)).lines).toEqual(['aa'])
    expect(await run('ls', `${storePath}/empty`)).toMatchObject({ code: 0, lines: [] })
  })

  test('on a terminal names are escaped', async (context) => {
    requireReal(context, missingProgram('script', '--version'))
    const { stdout } = await neve([], {
      through: ['bash', '-c', `script -qec "'$0' '$1' --store '${store}' ls '${storePath}'" /dev/null`],
    })
    const lines = stdout.toString('latin1').trim().split('\r\n')
    expect(lines).toEqual(['aa', 'bin', 'caf\\xe9', 'empty', 'hello', 'new\\nline', 'nothing'])
  })

  test('what is not there: one line, status 1', async () => {
    for (const address of [
      `${storePath}/none`,
      `${storePath}/hello/x`,
      '/nix/store/zmpf8f0xn964s01661c424y9cx9pl1wn-aa',
      'blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRwA=',
    ]) {
      const { code, lines, stderr } = await run('ls', address)
      expect(stderr).toMatch(ONE_LINE)
      expect([code, lines]).toEqual([1, []])
    }
  })

  test('a store that is not there is not made', async () => {
    const { path, run: other } = newStore()
    const { code, stderr } = await other('ls', storePath)
    expect([code, stderr]).toEqual([1, `neve: there is no store at ${path}\n`])
    expect(() => readdirSync(path)).toThrow('ENOENT')
  })
})

describe('cat', () => {
  test('prints the bytes of files, one after the other', async () => {
    const { code, stdout } = await run(
      'cat',
      `${storePath}/hello`,
      `${storePath}/nothing`,
      `${storePath}/bin/deep/large`,
    )
    expect(code).toBe(0)
    expect(stdout.equals(Buffer.concat([Buffer.from('Hello World!'), noise(3_000_000)]))).toBe(true)
    const byDigest = await run('cat', 'blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww=')
    expect(byDigest.stdout.toString()).toBe('Hello World!')
  })

  test('takes names that are no UTF-8', async () => {
    expect((await shell(`cat '${storePath}'/$'caf\\xe9'`)).stdout.toString()).toBe('odd name')
    const { code, stderr } = await shell(`cat '${storePath}'/$'none\\xe9'`)
    expect([code, stderr]).toEqual([
      1,
      `neve: ${storePath}/none\\xe9: there is no such path below the root\n`,
    ])
  })

  test('goes on after what cannot be printed, with status 1', async () => {
    const { code, stdout, stderr } = await run(
      'cat',
      `${storePath}/bin`,
      `${storePath}/aa`,
      `${storePath}/none`,
      `${storePath}/hello`,
    )
    expect([code, stdout.toString()]).toEqual([1, 'Hello World!'])
    const messages = stderr.trim().split('\n')
    expect(messages[0]).toContain('bin is a directory, expected a file')
    expect(messages[1]).toContain('aa is a link to /nix/store/somewhereelse, expected a file')
    expect(messages).toHaveLength(3)
  })

  test('damage gives a message and status 1, never wrong bytes', async () => {
    const { path, run: other } = newStore()
    const [root] = (await other('import', tree)).lines
    const segments = join(path, 'segments')
    for (const name of readdirSync(segments)) {
      const bytes = readFileSync(join(segments, name))
      for (let at = bytes.length >> 1; at < bytes.length; at += 1000) bytes[at]! ^= 0xff
      writeFileSync(join(segments, name), bytes)
    }
    const { code, stdout, stderr } = await other('cat', `${root}/bin/deep/large`)
    expect(code).toBe(1)
    expect(stderr).toMatch(ONE_LINE)
    expect(noise(3_000_000).subarray(0, stdout.length).equals(stdout)).toBe(true)
    const nar = join(folder, 'damaged.nar')
    expect(await other('nar', root!, '-o', nar)).toMatchObject({ code: 1 })
    expect(await other('export', root!, join(folder, 'damaged'))).toMatchObject({ code: 1 })
    expect(readdirSync(folder).filter((name) => name.startsWith('damaged'))).toEqual([])
  })
})

describe('stat', () => {
  test('of a store path: node, contents, chunks, NAR, references', async () => {
    const { code, lines } = await run('stat', '--json', storePath)
    expect(code).toBe(0)
    expect(JSON.parse(lines[0]!)).toMatchObject({
      storePath,
      kind: 'directory',
      digest,
      size: 11,
      files: 6,
      directories: 4,
      symlinks: 2,
      bytes: 3_000_045,
      blobs: 6,
      sharedChunks: 0,
      distinctBytes: 3_000_045,
      missingChunks: 0,
      references: [],
      narHash: expect.stringMatching(/^sha256-.{44}$/),
      narSize: expect.any(Number),
    })
    const text = (await run('stat', storePath)).stdout.toString()
    for (const part of [
      storePath,
      digest,
      '6 files, 4 directories, 2 symlinks',
      '3,000,045 bytes',
      'sha256-',
      'references   none',
    ]) {
      expect(text).toContain(part)
    }
  })

  test('of a file: its chunks, each once, adding up to it', async () => {
    const { lines } = await run('stat', '--json', `${storePath}/bin/deep/large`)
    const facts = JSON.parse(lines[0]!)
    expect(facts).toMatchObject({ kind: 'file', size: 3_000_000, executable: false, files: 1 })
    expect(facts.chunkList).toHaveLength(facts.chunks)
    expect(facts.chunks).toBeGreaterThan(4)
    expect(facts.chunkList.reduce((sum: number, { size }: { size: number }) => sum + size, 0)).toBe(3_000_000)
    const text = (await run('stat', '--chunks', `${storePath}/bin/deep/large`)).stdout.toString()
    for (const { digest: chunk } of facts.chunkList) expect(text).toContain(chunk)
    expect(facts).not.toHaveProperty('narHash')
  })

  test('of a link: its target', async () => {
    expect((await run('stat', `${storePath}/aa`)).stdout.toString()).toContain(
      'target       /nix/store/somewhereelse',
    )
  })

  test('counts what is shared', async () => {
    const twins = join(folder, 'twins')
    mkdirSync(twins)
    for (const name of ['a', 'b', 'c'])
      writeFileSync(join(twins, name), noise(2_000_000, name === 'c' ? 2 : 1))
    const { path: other, run: runOther } = newStore()
    const [root] = (await runOther('import', twins)).lines
    const facts = JSON.parse((await runOther('stat', '--json', root!)).lines[0]!)
    const one = JSON.parse((await runOther('stat', '--json', `${root}/a`)).lines[0]!)
    expect(other).not.toBe(store)
    expect(facts).toMatchObject({ files: 3, bytes: 6_000_000, blobs: 2, distinctBytes: 4_000_000 })
    expect(facts.sharedChunks).toBe(one.chunks)
    expect(facts.chunks - facts.distinctChunks).toBe(one.chunks)
  })
})
