import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingProgram, NEVE, neve, newStore, noise, ONE_LINE, requireReal, sampleTree } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'neve-cli-out-'))
const store = join(folder, 'store')
const run = (...args: string[]) => neve(['--store', store, ...args])
let tree: string
let storePath: string

beforeAll(async () => {
  tree = sampleTree(folder)
  storePath = (await run('import', tree)).lines[0]!
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('nar', () => {
  test('--range writes the bytes of a range, and nothing else', async () => {
    const { stdout: nar } = await run('nar', storePath)
    const { length } = nar
    for (const [range, start, end] of [
      ['0-0', 0, 1],
      ['100-1099', 100, 1100],
      [`${length - 5}-`, length - 5, length],
      ['-16', length - 16, length],
      [`-${length + 5}`, 0, length],
      [`2000-${length * 2}`, 2000, length],
    ] as const) {
      const { code, stdout } = await run('nar', '--range', range, storePath)
      expect([range, code, stdout.equals(nar.subarray(start, end))]).toEqual([range, 0, true])
    }
    const outside = await run('nar', '--range', `${length}-`, storePath)
    expect([outside.code, outside.stderr]).toEqual([
      1,
      `neve: the range begins at byte ${length}, the NAR has ${length} bytes\n`,
    ])
  })

  test.each(['', '-', '5-4', '1', 'a-b', '1-2,4-5', '-1-2'])('--range %j is none', async (range) => {
    const { code, stderr } = await run('nar', `--range=${range}`, storePath)
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--range takes A-B, A- or -N`)])
  })

  test('--zstd writes what zstd expands to the NAR', async (context) => {
    requireReal(context, missingProgram('zstd', '--version'))
    const { stdout: nar } = await run('nar', storePath)
    const file = join(folder, 'sample.nar.zst')
    expect(await run('nar', '--zstd', storePath, '-o', file)).toMatchObject({ code: 0, stderr: '' })
    expect(execFileSync('zstd', ['-dc', file], { maxBuffer: 2 ** 28 }).equals(nar)).toBe(true)
  })

  test('--listing prints where files are, as Nix does', async () => {
    const { code, stdout } = await run('nar', '--listing', `${storePath}/bin`)
    const { stdout: nar } = await run('nar', `${storePath}/bin`)
    expect(code).toBe(0)
    const { root, version } = JSON.parse(stdout.toString())
    const { narOffset, size, executable } = root.entries.run
    expect([version, executable, root.entries.dangling]).toEqual([
      1,
      true,
      { target: '../nowhere', type: 'symlink' },
    ])
    expect(nar.subarray(narOffset, narOffset + size).toString()).toMatch(/^#!/)
    // The whole tree has a name that JSON cannot hold.
    const whole = await run('nar', '--listing', storePath)
    expect([whole.code, whole.stderr]).toEqual([1, expect.stringMatching(/^neve: .*expected UTF-8.*\n$/)])
  })

  test('forms do not go together', async () => {
    const { code, stderr } = await run('nar', '--zstd', '--listing', storePath)
    expect([code, stderr]).toEqual([2, expect.stringContaining('--zstd and --listing do not go together')])
  })

  test('equals nix-store --dump, to stdout and to a file', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version'))
    const expected = execFileSync('nix-store', ['--dump', tree], { maxBuffer: 1e9 })
    const { code, stdout, stderr } = await run('nar', storePath)
    expect([code, stderr, stdout.equals(expected)]).toEqual([0, '', true])
    const file = join(folder, 'sample.nar')
    expect(await run('nar', storePath, '-o', file)).toMatchObject({ code: 0, lines: [], stderr: '' })
    expect(readFileSync(file).equals(expected)).toBe(true)
    const part = await run('nar', `${storePath}/bin/run`, '-o', '-')
    expect(part.stdout.equals(execFileSync('nix-store', ['--dump', join(tree, 'bin/run')]))).toBe(true)
  })

  test('a file appears whole or not at all; what was there stays until then', async () => {
    const place = join(folder, 'place')
    mkdirSync(place)
    const file = join(place, 'x.nar')
    writeFileSync(file, 'before')
    expect(await run('nar', `${storePath}/none`, '-o', file)).toMatchObject({ code: 1 })
    expect(readFileSync(file, 'utf8')).toBe('before')
    expect(await run('nar', storePath, '-o', file)).toMatchObject({ code: 0 })
    symlinkSync('x.nar', join(place, 'link'))
    expect(await run('nar', `${storePath}/hello`, '-o', join(place, 'link'))).toMatchObject({ code: 0 })
    expect(lstatSync(join(place, 'link')).isSymbolicLink()).toBe(true)
    expect(readFileSync(file).length).toBe(128)
    expect(readdirSync(place).sort()).toEqual(['link', 'x.nar'])
  })

  test('what is no regular file is written to, not replaced', async () => {
    expect(await run('nar', storePath, '-o', '/dev/null')).toMatchObject({ code: 0, stderr: '' })
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true)
  })

  test.each([
    ['a folder that is not there', () => join(folder, 'no/such.nar'), 'no such file or directory'],
    ['a folder', () => folder, 'illegal operation on a directory'],
    ['a full device', () => '/dev/full', 'no space left on device'],
  ])('%s as the output: one line, status 1', async (_, output, reason) => {
    const { code, stderr } = await run('nar', storePath, '-o', output())
    expect(stderr).toBe(`neve: cannot write to ${output()}: ${reason}\n`)
    expect(code).toBe(1)
  })

  test('a full standard output: one line, status 1', async () => {
    const { code, stderr } = await neve([], {
      through: ['bash', '-c', `"$0" "$1" --store '${store}' nar '${storePath}' > /dev/full`],
    })
    expect([code, stderr]).toEqual([1, 'neve: cannot write to standard output: no space left on device\n'])
  })

  test('does not go to a terminal unless -o - says so', async (context) => {
    requireReal(context, missingProgram('script', '--version'))
    const onTerminal = (args: string) =>
      neve([], {
        through: [
          'bash',
          '-c',
          `script -qec "'$0' '$1' --store '${store}' nar '${storePath}/hello' ${args}" /dev/null`,
        ],
      })
    const refused = await onTerminal('')
    expect(refused.code).toBe(2)
    expect(refused.stdout.toString()).toContain('neve: a NAR is not for a terminal')
    const forced = await onTerminal('-o -')
    expect(forced.code).toBe(0)
    expect(forced.stdout.toString()).toContain('nix-archive-1')
  })
})

describe('a reader that stops early', () => {
  test.each(['nar', 'ls -R', 'cat'])('%s ends quietly', async (command) => {
    const address = command === 'cat' ? `${storePath}/bin/deep/large` : storePath
    const { stdout, stderr } = await neve([], {
      through: [
        'bash',
        '-c',
        `"$0" "$1" --store '${store}' ${command} '${address}' | head -c 10; echo " \${PIPESTATUS[0]}"`,
      ],
    })
    expect(stderr).toBe('')
    expect(stdout.length).toBeGreaterThan(10)
    // What `ls` prints fits into a pipe, so it may not notice.
    expect(stdout.toString('latin1')).toMatch(command === 'ls -R' ? / (0|141)\n$/ : / 141\n$/)
  })

  test('one that never was: quiet too', async () => {
    const { stderr, code } = await neve([], {
      through: ['bash', '-c', `"$0" "$1" --store '${store}' nar '${storePath}' > >(exit 0); exit $?`],
    })
    expect([stderr, code]).toEqual(['', 141])
  })
})

describe('interrupts', () => {
  test('SIGINT while a reader keeps nar waiting: status 130, no message', async () => {
    const child = spawn(process.execPath, [NEVE, '--store', store, 'nar', storePath], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    await once(child.stdout, 'readable')
    child.kill('SIGINT')
    const ended = once(child, 'exit')
    let stderr = ''
    child.stderr.on('data', (piece) => {
      stderr += piece
    })
    expect([...(await ended), stderr]).toEqual([130, null, ''])
    child.stdout.destroy()
  })

  test('SIGINT during an import: status 130, and the store is sound', async () => {
    const { path, run: other } = newStore()
    const large = join(folder, 'large')
    writeFileSync(large, noise(150_000_000))
    await other('import', join(tree, 'hello'))
    const started = (child: { kill: (signal: NodeJS.Signals) => boolean }) =>
      void (async () => {
        const size = () =>
          readdirSync(join(path, 'segments')).reduce(
            (sum, name) => sum + lstatSync(join(path, 'segments', name)).size,
            0,
          )
        while (size() < 10_000_000) await delay(5)
        child.kill('SIGINT')
      })()
    const { code, lines, stderr } = await neve(['--store', path, 'import', large], { onStart: started })
    expect([code, lines, stderr]).toEqual([130, [], ''])
    expect(await other('import', join(tree, 'hello'), large)).toMatchObject({ code: 0 })
  })
})

describe('export', () => {
  test('equals the original: bytes, names, links, modes', async () => {
    const destination = join(folder, 'exported')
    expect(await run('export', storePath, destination)).toMatchObject({ code: 0, lines: [], stderr: '' })
    expect(spawnSync('diff', ['-r', '--no-dereference', tree, destination])).toMatchObject({ status: 0 })
    const modes = (root: string) =>
      execFileSync('find', [root, '-printf', '%m %P\\0']).toString('latin1').split('\0').sort()
    expect(modes(destination)).toEqual(modes(tree))
  })

  test('of a file, and refusing what exists', async () => {
    const destination = join(folder, 'hello')
    expect(await run('export', `${storePath}/hello`, destination)).toMatchObject({ code: 0 })
    expect(readFileSync(destination, 'utf8')).toBe('Hello World!')
    const { code, stderr } = await run('export', storePath, destination)
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(`${destination}: it exists already`)
    expect([code, readFileSync(destination, 'utf8')]).toEqual([1, 'Hello World!'])
  })

  test('into a folder that is not there', async () => {
    const destination = join(folder, 'no/such')
    const { code, stderr } = await run('export', storePath, destination)
    expect([code, stderr]).toEqual([1, `neve: cannot write ${destination}: no such file or directory\n`])
    expect(existsSync(join(folder, 'no'))).toBe(false)
  })
})
