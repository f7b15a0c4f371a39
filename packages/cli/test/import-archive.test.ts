import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, linkSync, mkdirSync, readdirSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { archiveName } from '../src/archive-names.js'
import {
  missingProgram,
  NEVE,
  neve,
  newStore,
  ONE_LINE,
  requireReal,
  sampleTree,
  temporaryFolder,
} from './support.js'

/** The bzip2 vector of spec 06 section 5.4: an archive of the tree COMPLICATED. */
const COMPLICATED = Buffer.from(
  'QlpoOTFBWSZTWX8QJtIAANJfkMiAQAH/hABQlABub97ABEAACDAAuAw0MmQMjEGJk0NMGGhkyBkYgxMmhpgSKmJkp6ninlHqbRGgyep6n6pajb6K' +
    'cnjJuYVB0AFlGWD7ItRZJvSAjARNFAExJNHgePs2GeXE0ZnnYkBchiQG23SzpJHNDQLTSgawsvgXjhExOZG0nZqWEbiMJyiQYBt6bo6o+UVqHJHH' +
    'WaH3CKO+9f1HG5kdkU/hQwzRjIL0aInC+lUO5FqHUqyevqg/xdyRThQkH8QJtIA=',
  'base64',
)
/** Spec 07 section 11.3. */
const COMPLICATED_PATH = '/nix/store/pngqdzggfqs4q7fg6iywqnlzcgsp85qr-complicated'

/** Packs with GNU tar, names and all: the bytes of the archive. */
function tar(folder: string, ...args: string[]): Buffer {
  return execFileSync('tar', ['-C', folder, '-cf', '-', ...args], { maxBuffer: 2 ** 28 })
}

describe('import-archive', () => {
  test('prints the store path of the unpacked tree, of each archive in the order of the arguments', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'complicated.tar.bz2'), COMPLICATED)
    writeFileSync(join(folder, 'complicated.tbz'), COMPLICATED)
    const { run } = newStore()
    const args = ['complicated.tar.bz2', 'complicated.tbz'].map((name) => join(folder, name))
    expect(await run('import-archive', ...args)).toMatchObject({
      code: 0,
      stderr: '',
      lines: [COMPLICATED_PATH, COMPLICATED_PATH],
    })
    expect((await run('ls', COMPLICATED_PATH)).lines).toEqual(['.keep', 'aa', 'keep'])
  })

  test('reads standard input, which needs a name', async () => {
    const { path } = newStore()
    const args = ['--store', path, 'import-archive', '-']
    expect(await neve([...args, '--name', 'complicated'], { input: COMPLICATED })).toMatchObject({
      code: 0,
      lines: [COMPLICATED_PATH],
    })
    const nameless = await neve(args, { input: COMPLICATED })
    expect(nameless).toMatchObject({ code: 2, lines: [], stderr: expect.stringMatching(ONE_LINE) })
    expect(nameless.stderr).toContain('--name')
    expect(await neve([...args, '-'], { input: COMPLICATED })).toMatchObject({ code: 2, lines: [] })
  })

  test('nothing given, nothing done', async () => {
    const { path, run } = newStore()
    expect(await run('import-archive')).toMatchObject({ code: 0, lines: [], stderr: '' })
    expect(() => readdirSync(path)).toThrow('ENOENT')
  })

  test('names are those of the files without their endings', () => {
    for (const ending of [
      'tar',
      'tar.gz',
      'tgz',
      'tar.bz2',
      'tbz',
      'tbz2',
      'tar.xz',
      'txz',
      'tar.zst',
      'tzst',
      'TAR.GZ',
    ]) {
      expect(archiveName(`hello-2.12.${ending}`)).toBe('hello-2.12')
    }
    expect(archiveName('hello')).toBe('hello')
    expect(archiveName('hello.zip')).toBe('hello.zip')
    expect(archiveName('.tar')).toBe('.tar')
  })

  test('what cannot be imported is told, the others are imported, and the status is 1', async () => {
    const cwd = temporaryFolder()
    writeFileSync(join(cwd, 'complicated.tar'), COMPLICATED)
    writeFileSync(join(cwd, 'bad name.tar'), COMPLICATED)
    writeFileSync(join(cwd, 'cut.tar'), COMPLICATED.subarray(0, 150))
    writeFileSync(join(cwd, 'empty.tar'), '')
    writeFileSync(join(cwd, 'text.tar'), 'This is no archive, but it is long enough for one.'.repeat(40))
    mkdirSync(join(cwd, 'folder'))
    const { path } = newStore()
    const names = [
      'cut.tar',
      'missing.tar',
      'bad name.tar',
      'empty.tar',
      'text.tar',
      'folder',
      'complicated.tar',
    ]
    const { code, lines, stderr } = await neve(['--store', path, 'import-archive', ...names], { cwd })
    expect(code).toBe(1)
    expect(lines).toEqual([COMPLICATED_PATH])
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/^neve: bad name.tar: cannot be the name of a store path: .*--name$/),
      'neve: cut.tar: the bzip2 data ends too early, after 150 bytes',
      'neve: missing.tar: cannot read the archive: no such file or directory',
      'neve: empty.tar: the archive is empty',
      expect.stringMatching(/^neve: text.tar: at byte 0: expected a header .*: damaged, or no tar archive$/),
      'neve: folder: cannot read the archive: illegal operation on a directory',
    ])
  })

  test('--json gives one object a line', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'complicated.tar'), COMPLICATED)
    const { run } = newStore()
    const { lines } = await run('import-archive', '--json', join(folder, 'complicated.tar'))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        path: join(folder, 'complicated.tar'),
        storePath: COMPLICATED_PATH,
        kind: 'directory',
        digest: 'blake3-P5UaFa/VhvsxIe9NE9WC6BHODlp/IcBJf9h0kOniNVo=',
        size: 4,
        narSize: 840,
        narHash: 'sha256-69UieajfAkyf1XGN5BA79edg3H8s9JBE7n3qh6sWkRo=',
        files: 2,
        directories: 2,
        symlinks: 1,
        bytes: 0,
        archiveBytes: COMPLICATED.length,
      },
    ])
  })

  test('--top-level keep keeps what is at the top; --max-size refuses what is larger', async () => {
    const folder = temporaryFolder()
    const content = join(folder, 'content')
    mkdirSync(join(content, 'b'), { recursive: true })
    writeFileSync(join(content, 'a'), 'A')
    writeFileSync(join(content, 'b/c'), 'C'.repeat(100_000))
    writeFileSync(join(folder, 'both.tar'), tar(content, 'a', 'b'))
    const { run } = newStore()
    const [kept] = (
      await run('import-archive', '--top-level', 'keep', '--name', 'content', join(folder, 'both.tar'))
    ).lines
    expect([kept]).toEqual((await run('import', content)).lines)
    const stripped = await run('import-archive', join(folder, 'both.tar'))
    expect(stripped).toMatchObject({ code: 1, lines: [] })
    expect(stripped.stderr).toContain("expected one directory at the top of the archive, got 'a' and 'b'")
    const args = ['import-archive', '--top-level', 'keep', join(folder, 'both.tar')]
    expect(await run(...args, '--max-size', '64K')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('maxSize'),
    })
    expect(await run(...args, '--max-size', '1m')).toMatchObject({ code: 0 })
    expect(await run(...args, '--max-size', 'much')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(ONE_LINE),
    })
    expect(await run(...args, '--top-level', 'both')).toMatchObject({ code: 2 })
  })

  test('--directory-sizes twice', async () => {
    const { path } = newStore()
    const args = ['--store', path, 'import-archive', '--json', '--name', 'complicated', '-']
    const env = { NEVE_DIRECTORY_SIZES: 'twice' }
    for (const ran of [
      await neve([...args, '--directory-sizes', 'twice'], { input: COMPLICATED }),
      await neve(args, { input: COMPLICATED, env }),
    ]) {
      expect(JSON.parse(ran.lines[0]!)).toMatchObject({
        storePath: COMPLICATED_PATH,
        digest: 'blake3-Qkp/bOCNgF0VtCgGL6rpYpmhZ11wjDo5Jhr+OM3QT+s=',
      })
    }
  })

  test('is interrupted by a signal while it waits for standard input', async () => {
    const { path } = newStore()
    mkdirSync(path)
    // It opens its store once something is in the folder.
    const watcher = watch(path)
    const opened = once(watcher, 'change')
    const child = spawn(process.execPath, [NEVE, '--store', path, 'import-archive', '--name', 'x', '-'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    child.stdin.write(COMPLICATED.subarray(0, 100))
    await opened
    watcher.close()
    child.kill('SIGINT')
    expect(await ended).toBe(130)
  })

  test('the tree of any archive of GNU tar is named as nix-store --add names the unpacked one', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version') ?? missingProgram('tar', '--version'))
    const folder = temporaryFolder()
    const tree = sampleTree(folder)
    linkSync(join(tree, 'bin/run'), join(tree, 'bin/again'))
    mkdirSync(join(tree, 'd'.repeat(120), 'e'.repeat(120)), { recursive: true })
    writeFileSync(join(tree, 'd'.repeat(120), 'e'.repeat(120), 'f'), 'deep')
    chmodSync(join(tree, 'hello'), 0o700)
    const nix = join(folder, 'nix')
    mkdirSync(nix)
    writeFileSync(join(nix, 'nix.conf'), 'substituters =\nsandbox = false\nbuild-users-group =\n')
    const added = spawnSync('nix-store', ['--store', join(nix, 'root'), '--add', tree], {
      env: { PATH: process.env['PATH'], HOME: nix, NIX_CONF_DIR: nix },
    })
    const expected = added.stdout.toString().trim()
    expect(expected).toMatch(/^\/nix\/store\/.*-sample$/)
    const { run } = newStore()
    for (const format of ['gnu', 'pax']) {
      const file = join(folder, `sample.${format}`)
      writeFileSync(file, tar(folder, `--format=${format}`, 'sample'))
      expect((await run('import-archive', '--name', 'sample', file)).lines).toEqual([expected])
    }
    execFileSync('chmod', ['-R', 'u+w', nix])
  })
})
