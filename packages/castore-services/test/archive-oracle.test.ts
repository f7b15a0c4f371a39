import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { describe, expect, it, type TestContext } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { temporaryFolder } from './embedded-fixture.js'
import { failureOf, ingest, tree } from './tar-builder.js'

/** Every program that writes archives, and the forms that it writes. */
const WRITERS: readonly (readonly [string, (folder: string, out: string, ...names: string[]) => void])[] = [
  ...['v7', 'oldgnu', 'gnu', 'ustar', 'pax'].map(
    (format) =>
      [
        `tar --format=${format}`,
        (folder: string, out: string, ...names: string[]) =>
          run('tar', `--format=${format}`, '-C', folder, '-cf', out, ...names),
      ] as const,
  ),
  ...['ustar', 'pax', 'gnutar'].map(
    (format) =>
      [
        `bsdtar --format=${format}`,
        (folder: string, out: string, ...names: string[]) =>
          run('bsdtar', `--format=${format}`, '-C', folder, '-cf', out, ...names),
      ] as const,
  ),
  ...['USTAR', 'GNU', 'PAX'].map(
    (format) =>
      [
        `python3 tarfile ${format}`,
        (folder: string, out: string, ...names: string[]) =>
          run('python3', '-c', PYTHON, format, folder, out, ...names),
      ] as const,
  ),
]

const PYTHON = `
import os, sys, tarfile
format, folder, out = sys.argv[1:4]
with tarfile.open(out, 'w', format=getattr(tarfile, format + '_FORMAT')) as archive:
    os.chdir(folder)
    for name in sys.argv[4:]: archive.add(name)
`

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function requireProgram(context: TestContext, program: string): void {
  try {
    run(program, '--version')
  } catch {
    if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(`${program} is missing`)
    context.skip(`${program} is not installed`)
  }
}

/** A tree whose names are short enough for the oldest form. */
function plainTree(folder: string): string {
  const root = join(folder, 'top')
  mkdirSync(join(root, 'empty'), { recursive: true })
  mkdirSync(join(root, 'bin'))
  const random = new SeededRandom(3)
  for (const size of [0, 1, 511, 512, 513, 10_000, 1_048_576, 3_000_000]) {
    writeFileSync(join(root, `file ${size}`), random.bytes(size))
  }
  writeFileSync(join(root, 'bin/run'), '#!/bin/sh\n', { mode: 0o755 })
  linkSync(join(root, 'bin/run'), join(root, 'bin/again'))
  linkSync(join(root, 'file 3000000'), join(root, 'zz'))
  symlinkSync('../nowhere', join(root, 'bin/dangling'))
  symlinkSync('bin', join(root, 'link'))
  linkSync(join(root, 'link'), join(root, 'hard link to a link'))
  return root
}

/** Names that need the extensions: long, no UTF-8, with newlines. */
function addOddNames(root: string): void {
  const deep = join(root, 'd'.repeat(200), 'e'.repeat(255), 'f'.repeat(120))
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, 'g'.repeat(255)), 'deep')
  linkSync(join(deep, 'g'.repeat(255)), join(root, 'hard link to a long name'))
  symlinkSync('t'.repeat(3000), join(root, 'long target'))
  for (const name of ['caf\xe9', 'new\nline', 'tab\t', '\xff\xfe', '\xe2\x82', ' ', '\\', '"', '=', '-']) {
    writeFileSync(Buffer.from(`${root}/${name}`, 'latin1'), name)
    symlinkSync(Buffer.from(name, 'latin1'), Buffer.from(`${root}/link ${name}`, 'latin1'))
  }
}

async function expectSame(archive: string, unpacked: string): Promise<void> {
  const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
  const expected = await ingestPath(services, unpacked)
  const got = await ingest(readFileSync(archive))
  if (JSON.stringify(got.node, bigText) !== JSON.stringify(expected.node, bigText)) {
    // A tree as text tells what is different.
    expect(await tree(got)).toEqual(await tree({ ...services, node: expected.node }))
  }
  expect(got.node).toEqual(expected.node)
}

const bigText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value)

describe.each(WRITERS)('the tree of %s is that of its unpacked archive', (name, write) => {
  const program = name.split(' ')[0]!

  it('files, links of both kinds, directories', async (context) => {
    requireProgram(context, program)
    const folder = temporaryFolder()
    const root = plainTree(folder)
    const archive = join(folder, 'archive.tar')
    write(folder, archive, 'top')
    const unpacked = join(folder, 'unpacked')
    mkdirSync(unpacked)
    run('tar', '-C', unpacked, '-xf', archive)
    await expectSame(archive, join(unpacked, 'top'))
    await expectSame(archive, root)
  })

  it('names of any bytes and any length', async (context) => {
    // What these forms cannot hold is not packed.
    if (/v7|ustar/i.test(name)) context.skip('the form has no long names')
    requireProgram(context, program)
    const folder = temporaryFolder()
    const root = plainTree(folder)
    addOddNames(root)
    const archive = join(folder, 'archive.tar')
    write(folder, archive, 'top')
    await expectSame(archive, root)
  })
})

describe('GNU tar', () => {
  it.each([
    ['gnu', '0.0'],
    ['pax', '0.0'],
    ['pax', '0.1'],
    ['pax', '1.0'],
  ])('sparse files: --format=%s --sparse-version=%s', async (format, version) => {
    const folder = temporaryFolder()
    const root = join(folder, 'top')
    mkdirSync(join(root, 'n'.repeat(150)), { recursive: true })
    const random = new SeededRandom(9)
    const sparse = (name: string, size: number, pieces: readonly (readonly [number, number])[]) => {
      const path = join(root, name)
      writeFileSync(path, '')
      truncateSync(path, size)
      const fd = openSync(path, 'r+')
      for (const [offset, length] of pieces) writeSync(fd, random.bytes(length), 0, length, offset)
      closeSync(fd)
    }
    sparse('all hole', 5_000_000, [])
    sparse('start', 3_000_000, [[0, 100]])
    sparse('end', 3_000_000, [[2_999_900, 100]])
    sparse('small', 70_000, [[65_536, 10]])
    sparse(
      'many',
      6_000_000,
      Array.from({ length: 60 }, (_, i) => [i * 100_000 + 4096, 700] as const),
    )
    sparse(`${'n'.repeat(150)}/long name`, 1_500_000, [[4096, 5000]])
    writeFileSync(join(root, 'dense'), 'after')
    chmodSync(join(root, 'many'), 0o755)
    const archive = join(folder, 'archive.tar')
    const versions = format === 'pax' ? [`--sparse-version=${version}`] : []
    run(
      'tar',
      `--format=${format}`,
      '--sparse',
      '--hole-detection=raw',
      ...versions,
      '-C',
      folder,
      '-cf',
      archive,
      'top',
    )
    // Otherwise nothing sparse is tested.
    expect(statSync(archive).size).toBeLessThan(2_000_000)
    await expectSame(archive, root)
  })

  it('sizes above 8 GiB, in base 256 and in PAX headers, holes and all, are counted against the limit', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'top'))
    writeFileSync(join(folder, 'top/huge'), '')
    truncateSync(join(folder, 'top/huge'), 2 ** 40)
    for (const format of ['gnu', 'pax']) {
      const archive = join(folder, `${format}.tar`)
      run('tar', `--format=${format}`, '--sparse', '-C', folder, '-cf', archive, 'top')
      expect(await failureOf(ingest(readFileSync(archive)))).toMatchObject({
        code: 'limit',
        message: expect.stringContaining('1099511627776'),
      })
    }
  })

  it.each(['-cf', '-rf'])('an archive that was written twice (%s) has what came last', async (second) => {
    const folder = temporaryFolder()
    const root = join(folder, 'top')
    mkdirSync(root)
    writeFileSync(join(root, 'a'), 'first')
    writeFileSync(join(root, 'b'), 'first')
    const archive = join(folder, 'archive.tar')
    run('tar', '-C', folder, '-cf', archive, 'top')
    writeFileSync(join(root, 'a'), 'second')
    run('tar', '-C', folder, second, archive, 'top')
    await expectSame(archive, root)
  })

  it.each(['gzip', 'bzip2', 'xz', 'zstd'])('compressed with %s', async (program) => {
    const folder = temporaryFolder()
    const root = plainTree(folder)
    const archive = join(folder, 'archive')
    run('tar', '-C', folder, `--use-compress-program=${program}`, '-cf', archive, 'top')
    await expectSame(archive, root)
  })

  it('refuses what is no tree: a FIFO', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'top'))
    run('mkfifo', join(folder, 'top/pipe'))
    run('tar', '-C', folder, '-cf', join(folder, 'a.tar'), 'top')
    expect(await failureOf(ingest(readFileSync(join(folder, 'a.tar'))))).toMatchObject({
      code: 'entry-type',
      message: expect.stringContaining('top/pipe'),
    })
  })
})
