import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  missingProgram,
  neve,
  newStore,
  noise,
  ONE_LINE,
  requireReal,
  sampleTree,
  temporaryFolder,
} from './support.js'

/** The paths of spec 07 section 11.3. */
const VECTORS = {
  aa: '/nix/store/zmpf8f0xn964s01661c424y9cx9pl1wn-aa',
  'helloworld.txt': '/nix/store/hdr0vc3jd7iq84vlp13h0c8sybpj884r-helloworld.txt',
  complicated: '/nix/store/pngqdzggfqs4q7fg6iywqnlzcgsp85qr-complicated',
  empty: '/nix/store/9ljssglw74jabzzsqsl3lim4d5jgh4ya-empty',
} as const

function vectorTrees(): string {
  const folder = temporaryFolder()
  symlinkSync('/nix/store/somewhereelse', join(folder, 'aa'))
  writeFileSync(join(folder, 'helloworld.txt'), 'Hello World!')
  mkdirSync(join(folder, 'complicated/keep'), { recursive: true })
  writeFileSync(join(folder, 'complicated/.keep'), '')
  writeFileSync(join(folder, 'complicated/keep/.keep'), '')
  symlinkSync('/nix/store/somewhereelse', join(folder, 'complicated/aa'))
  mkdirSync(join(folder, 'empty'))
  return folder
}

describe('import', () => {
  test('08#1 08#9 prints the store path that Nix gives each, one a line, in the order of the arguments', async () => {
    const cwd = vectorTrees()
    const { path } = newStore()
    const names = ['empty', 'complicated', 'helloworld.txt', 'aa'] as const
    const { code, lines, stderr } = await neve(['--store', path, 'import', ...names], { cwd })
    expect([code, stderr]).toEqual([0, ''])
    expect(lines).toEqual(names.map((name) => VECTORS[name]))
  })

  test.each([
    ['memory://', ''],
    ['memory:', 'NEVE_'],
  ])(
    '08#1 08#7 over services in memory that %s and %jBLOB_SERVICE_ADDR name, the same',
    async (address, prefix) => {
      const kinds = ['BLOB', 'DIRECTORY', 'PATH_INFO']
      const env = Object.fromEntries(kinds.map((kind) => [`${prefix}${kind}_SERVICE_ADDR`, address]))
      const names = ['complicated', 'helloworld.txt', 'aa'] as const
      const { code, lines, stderr } = await neve(['import', ...names], { cwd: vectorTrees(), env })
      expect([code, stderr]).toEqual([0, ''])
      expect(lines).toEqual(names.map((name) => VECTORS[name]))
    },
  )

  test('zero paths: nothing printed, nothing made, status 0', async () => {
    const { path, run } = newStore()
    expect(await run('import')).toMatchObject({ code: 0, lines: [], stderr: '' })
    expect(() => readdirSync(path)).toThrow('ENOENT')
  })

  test('--json gives one object a line', async () => {
    const cwd = vectorTrees()
    const { path } = newStore()
    const { code, lines } = await neve(
      ['--store', path, 'import', '--json', 'complicated', 'helloworld.txt', 'aa'],
      { cwd },
    )
    expect(code).toBe(0)
    const [complicated, hello, link] = lines.map((line) => JSON.parse(line))
    expect(complicated).toEqual({
      path: 'complicated',
      storePath: VECTORS.complicated,
      kind: 'directory',
      digest: 'blake3-P5UaFa/VhvsxIe9NE9WC6BHODlp/IcBJf9h0kOniNVo=',
      // The newest rule counts each entry once (DESIGN decision 2).
      size: 4,
      narSize: 840,
      narHash: 'sha256-69UieajfAkyf1XGN5BA79edg3H8s9JBE7n3qh6sWkRo=',
      files: 2,
      directories: 2,
      symlinks: 1,
      bytes: 0,
      newBytes: 0,
      storedBytes: 0,
    })
    expect(hello).toMatchObject({
      storePath: VECTORS['helloworld.txt'],
      kind: 'file',
      digest: 'blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww=',
      size: 12,
      executable: false,
      narSize: 128,
      newBytes: 12,
    })
    expect(link).toMatchObject({ kind: 'symlink', target: '/nix/store/somewhereelse', narSize: 136 })
    expect(link).not.toHaveProperty('digest')
  })

  test('--name names a single path, and the store path is that of the name', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'bad name'), 'Hello World!')
    const { run } = newStore()
    const { lines } = await run('import', '--name', 'helloworld.txt', join(folder, 'bad name'))
    expect(lines).toEqual([VECTORS['helloworld.txt']])
  })

  test('a path that ends in ., .. or a slash gets the name of the real path', async () => {
    const cwd = vectorTrees()
    symlinkSync('complicated', join(cwd, 'link'))
    const { path } = newStore()
    const inside = await neve(
      ['--store', path, 'import', '.', '../complicated/', 'keep/..', '../link/keep/..'],
      {
        cwd: join(cwd, 'complicated'),
      },
    )
    expect(inside).toMatchObject({ code: 0, stderr: '' })
    expect(inside.lines).toEqual(Array(4).fill(VECTORS.complicated))
  })

  test('08 section 3.2: names are checked first, the others are imported all the same, the status is 1', async () => {
    const cwd = vectorTrees()
    writeFileSync(join(cwd, 'bad name'), '')
    const { path } = newStore()
    const { code, lines, stderr } = await neve(
      ['--store', path, 'import', 'aa', 'not-there', 'bad name', '/', 'empty', ''],
      { cwd },
    )
    expect(code).toBe(1)
    expect(lines).toEqual([VECTORS.aa, VECTORS.empty])
    const messages = stderr.trim().split('\n')
    expect(messages).toHaveLength(4)
    expect(messages[0]).toMatch(/^neve: bad name: cannot be the name of a store path: .*--name$/)
    expect(messages[1]).toMatch(/^neve: \/: has no last part .*--name$/)
    expect(messages[2]).toMatch(/^neve: "": expected a path/)
    expect(messages[3]).toMatch(/^neve: .*not-there: no such file or directory$/)
  })

  test('a second import of the same adds nothing', async () => {
    const tree = sampleTree(temporaryFolder())
    const { run } = newStore()
    const [first] = (await run('import', '--json', tree)).lines.map((line) => JSON.parse(line))
    for (const option of ['--no-file-cache', '--json']) {
      const [again] = (await run('import', '--json', option, tree)).lines.map((line) => JSON.parse(line))
      expect(again).toMatchObject({
        storePath: first.storePath,
        digest: first.digest,
        newBytes: 0,
        storedBytes: 0,
      })
    }
    expect(first.newBytes).toBe(first.bytes)
  })

  test('--directory-sizes twice, or NEVE_DIRECTORY_SIZES, makes the other digest of the same store path', async () => {
    const cwd = vectorTrees()
    const { path } = newStore()
    const args = ['--store', path, 'import', '--json', 'complicated']
    const digest = async (more: string[], env = {}) => {
      const { lines } = await neve([...args, ...more], { cwd, env })
      const { storePath, digest } = JSON.parse(lines[0]!)
      expect(storePath).toBe(VECTORS.complicated)
      return digest as string
    }
    const once = await digest([])
    const twice = await digest(['--directory-sizes', 'twice'])
    expect(twice).not.toBe(once)
    expect(await digest([], { NEVE_DIRECTORY_SIZES: 'twice' })).toBe(twice)
    expect(await digest(['--directory-sizes', 'once'], { NEVE_DIRECTORY_SIZES: 'twice' })).toBe(once)
  })

  test('a FIFO is refused by name, and what stands beside it is imported', async () => {
    const cwd = vectorTrees()
    mkdirSync(join(cwd, 'with-fifo'))
    execFileSync('mkfifo', [join(cwd, 'with-fifo/pipe\n')])
    const { path } = newStore()
    const { code, lines, stderr } = await neve(['--store', path, 'import', 'with-fifo', 'aa'], { cwd })
    expect([code, lines]).toEqual([1, [VECTORS.aa]])
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain('with-fifo/pipe\\u{a} is a FIFO')
  })

  test('a path of other bytes than UTF-8 is found, and needs a name of its own', async () => {
    const cwd = temporaryFolder()
    writeFileSync(Buffer.from(`${cwd}/caf\xe9`, 'latin1'), 'Hello World!')
    const { path } = newStore()
    // Node cannot pass such an argument on; a shell can.
    const run = (args: string) =>
      neve([], { cwd, through: ['bash', '-c', `"$0" "$1" --store '${path}' import ${args}`] })
    expect(await run("--name helloworld.txt $'caf\\xe9'")).toMatchObject({
      code: 0,
      lines: [VECTORS['helloworld.txt']],
    })
    const { code, stderr } = await run("$'caf\\xe9'")
    expect(code).toBe(1)
    expect(stderr).toBe(
      'neve: caf\\xe9: its name is not UTF-8, which store paths need: give one with --name\n',
    )
  })

  test('an unreadable file is refused by name', async (context) => {
    const isRoot = process.getuid?.() === 0
    if (isRoot) requireReal(context, missingProgram('setpriv', '--reuid=65534', '--clear-groups', 'true'))
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'tree'))
    writeFileSync(join(folder, 'tree/secret'), 'secret', { mode: 0 })
    mkdirSync(join(folder, 'home'))
    for (const path of ['', 'tree', 'home']) chmodSync(join(folder, path), 0o777)
    const { code, lines, stderr } = await neve(
      ['--store', join(folder, 'home/store'), 'import', join(folder, 'tree')],
      {
        ...(isRoot ? { through: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] } : {}),
      },
    )
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(`${folder}/tree/secret`)
    expect(stderr).toContain('permission denied')
    expect([code, lines]).toEqual([1, []])
  })
})

describe('import into a store that cannot take it', () => {
  test('of a newer version: one sentence', async () => {
    const tree = vectorTrees()
    const { path, run } = newStore()
    await run('import', join(tree, 'aa'))
    const format = join(path, 'FORMAT')
    const text = readFileSync(format, 'latin1')
      .replace('version 1', 'version 2')
      .replace(/check .*\n$/, '')
    writeFileSync(format, `${text}check ${crc32(text).toString(16).padStart(8, '0')}\n`)
    for (const args of [
      ['import', join(tree, 'aa')],
      ['ls', VECTORS.aa],
    ]) {
      const { code, stderr, lines } = await run(...args)
      expect([code, lines]).toEqual([1, []])
      expect(stderr).toMatch(ONE_LINE)
      expect(stderr).toContain(`the store at ${path} has format version 2`)
      expect(stderr).toContain('update Neve')
    }
  })

  test('a folder that is something else: one sentence', async () => {
    const tree = vectorTrees()
    const { code, stderr } = await neve(['--store', tree, 'import', join(tree, 'aa')])
    expect(code).toBe(1)
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain('not a store')
  })

  test('a full file system: says so with the path, and the store stays usable', async (context) => {
    const disk = temporaryFolder()
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk], { encoding: 'utf8' })
    requireReal(
      context,
      mounted.status === 0 ? undefined : `cannot mount a tmpfs: ${mounted.stderr || mounted.error}`,
    )
    try {
      const tree = vectorTrees()
      writeFileSync(join(tree, 'large'), noise(40_000_000))
      const store = join(disk, 'store')
      await neve(['--store', store, 'import', join(tree, 'aa')])
      const { code, stderr, lines } = await neve(['--store', store, 'import', join(tree, 'large')])
      expect([code, lines]).toEqual([1, []])
      expect(stderr).toMatch(ONE_LINE)
      expect(stderr).toMatch(/no space left/)
      expect(stderr).toContain(join(tree, 'large'))
      expect(await neve(['--store', store, 'stat', VECTORS.aa])).toMatchObject({ code: 0 })
    } finally {
      spawnSync('umount', ['-l', disk])
    }
  })
})

describe('against the real Nix', () => {
  test('IMP-1 08#1 a directory named docs gets the one store path that Nix gives it, and nothing else is printed', async (context) => {
    requireReal(context, missingProgram('nix-store', '--version'))
    const folder = temporaryFolder()
    const docs = join(folder, 'docs')
    execFileSync('cp', ['-r', sampleTree(folder), docs])
    copyFileSync(process.execPath, join(docs, 'node'))
    mkdirSync(join(folder, 'conf'))
    writeFileSync(join(folder, 'conf/nix.conf'), 'substituters =\nsandbox = false\nbuild-users-group =\n')
    const { PATH } = process.env
    const expected = execFileSync('nix-store', ['--store', join(folder, 'root'), '--add', docs], {
      env: { PATH, HOME: folder, NIX_CONF_DIR: join(folder, 'conf') },
      encoding: 'utf8',
    })
    execFileSync('chmod', ['-R', 'u+w', join(folder, 'root')])
    const { code, stdout, stderr } = await newStore().run('import', docs)
    expect([code, stdout.toString(), stderr]).toEqual([0, expected, ''])
  })
})

test('on a terminal the summary comes on stderr, and a script gets none of it', async (context) => {
  requireReal(context, missingProgram('script', '--version'))
  const tree = sampleTree(temporaryFolder())
  const { path } = newStore()
  const { stdout } = await neve([], {
    through: [
      'bash',
      '-c',
      `script -qec "'$0' '$1' --store '${path}' import '${tree}' > '${path}.out'" /dev/null`,
    ],
  })
  expect(stdout.toString()).toMatch(
    / {2}6 files · 3\.0 MB in [\d.]+ s · 0 % was here already · 3\.0 MB written\r?\n/,
  )
  expect(readFileSync(`${path}.out`, 'utf8')).toMatch(/^\/nix\/store\/[a-z0-9]{32}-sample\n$/)
})
