import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dumpPath, restorePath } from '@neve/nar/node'
import { collectBytes } from '@neve/nix-compat/wire'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeTree, hex, raw, sha256 } from './archives.js'
import { VECTORS } from './vectors.js'

const present = spawnSync('nix-store', ['--version']).status === 0
const { NEVE_TEST_REQUIRE } = process.env
const required = NEVE_TEST_REQUIRE === 'all'

test('nix-store is there, where it is required', ({ skip }) => {
  if (!present && !required) skip('nix-store is not installed')
  expect(present).toBe(true)
})

describe.skipIf(!present)('against nix-store', () => {
  let scratch: string
  let tree: string
  const bytes = (path: string, name: string) => Buffer.concat([Buffer.from(`${path}/`), hex(name)])

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'neve-nar-oracle-'))
    writeFileSync(join(scratch, 'nix.conf'), 'substituters =\nsandbox = false\nbuild-users-group =\n')
    tree = join(scratch, 'tree')
    mkdirSync(join(tree, 'deep/er'), { recursive: true })
    mkdirSync(join(tree, 'empty'))
    for (const size of [0, 1, 7, 8, 9, 4096, 65_536, 300_000]) {
      writeFileSync(join(tree, `file-${size}`), Buffer.alloc(size, size % 251))
    }
    writeFileSync(join(tree, 'deep/er/run'), '#!/bin/sh\n')
    chmodSync(join(tree, 'deep/er/run'), 0o755)
    chmodSync(join(tree, 'file-9'), 0o600)
    for (const name of ["a'", 'a-b', 'a.txt', 'ab', 'B', '_', 'n'.repeat(255)])
      writeFileSync(join(tree, name), name)
    for (const name of ['efbda1', 'f09f9880', 'ff', 'c3a4', '0a', '20', '5c'])
      writeFileSync(bytes(tree, name), name)
    symlinkSync('/nix/store/somewhereelse', join(tree, 'absolute'))
    symlinkSync('../gone', join(tree, 'dangling'))
    symlinkSync(hex('ff2f80') as Buffer, bytes(tree, 'fe'))
    symlinkSync('t'.repeat(4095), join(tree, 'long'))
  })
  afterAll(() => rmSync(scratch, { recursive: true, force: true }))

  function nix(args: string[], options: { input?: Uint8Array; umask?: string } = {}): Uint8Array {
    const shell = ['-c', `umask ${options.umask ?? '022'}; exec nix-store "$@"`, 'sh', ...args]
    const result = spawnSync('sh', shell, {
      env: {
        ...process.env,
        HOME: scratch,
        NIX_CONF_DIR: scratch,
        NIX_STATE_DIR: scratch,
        NIX_LOG_DIR: scratch,
      },
      maxBuffer: 2 ** 28,
      ...(options.input === undefined ? {} : { input: options.input }),
    })
    if (result.status !== 0) throw new Error(`nix-store ${args[0]}: ${result.stderr.toString()}`)
    return Uint8Array.from(result.stdout)
  }

  test('09#61 a dump is the dump of nix-store, byte for byte', async () => {
    const ours = await collectBytes(dumpPath(tree), 2 ** 28)
    expect(sha256(ours)).toBe(sha256(nix(['--dump', tree])))
    expect(ours.length).toBeGreaterThan(370_000)
    for (const path of ['file-9', 'deep/er/run', 'dangling', 'empty']) {
      const single = await collectBytes(dumpPath(join(tree, path)), 2 ** 28)
      expect(sha256(single), path).toBe(sha256(nix(['--dump', join(tree, path)])))
    }
  })

  test('nix-store restores what we dump, and we restore what it dumps', async () => {
    const theirs = join(scratch, 'theirs')
    nix(['--restore', theirs], { input: await collectBytes(dumpPath(tree), 2 ** 28) })
    const ours = join(scratch, 'ours')
    await restorePath(nix(['--dump', tree]), ours)
    const original = sha256(nix(['--dump', tree]))
    expect(sha256(nix(['--dump', theirs]))).toBe(original)
    expect(sha256(nix(['--dump', ours]))).toBe(original)
  })

  test.each(['022', '077', '002', '000'])(
    'restored modes and links are those of nix-store (umask %s)',
    async (umask) => {
      const archive = nix(['--dump', tree])
      const theirs = join(scratch, `theirs-${umask}`)
      const ours = join(scratch, `ours-${umask}`)
      nix(['--restore', theirs], { input: archive, umask })
      const before = process.umask(Number.parseInt(umask, 8))
      try {
        await restorePath(archive, ours)
      } finally {
        process.umask(before)
      }
      const listed = listing(theirs)
      expect(listing(ours)).toEqual(listed)
      expect(listed.length).toBeGreaterThan(25)
    },
  )

  test.each(VECTORS)('09#61 $id restores and dumps to itself with nix-store', ({ id, tree: vector }) => {
    const path = join(scratch, `vector-${id}`)
    nix(['--restore', path], { input: encodeTree(vector) })
    expect(sha256(nix(['--dump', path]))).toBe(sha256(encodeTree(vector)))
  })

  test('09#57 where nix-store is lenient, so that the table stays true', () => {
    const lenient = raw('nix-archive-1', '(', 'type', 'regular', ')')
    nix(['--restore', join(scratch, 'lenient')], { input: lenient })
    expect(lstatSync(join(scratch, 'lenient')).isFile()).toBe(true)
  })

  /** Path, mode, size and link of everything, in bytes. */
  function listing(root: string): string[] {
    const out: string[] = []
    const walk = (path: Buffer, shown: string) => {
      const stat = lstatSync(path)
      const link = stat.isSymbolicLink() ? readlinkSync(path, 'buffer').toString('hex') : ''
      out.push(`${shown} ${stat.mode.toString(8)} ${stat.isDirectory() ? '' : stat.size} ${link}`)
      if (!stat.isDirectory()) return
      for (const name of readdirSync(path, 'buffer').sort(Buffer.compare)) {
        walk(Buffer.concat([path, Buffer.from('/'), name]), `${shown}/${name.toString('latin1')}`)
      }
    }
    walk(Buffer.from(root), '')
    return out
  }
})
