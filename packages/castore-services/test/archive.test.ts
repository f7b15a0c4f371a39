import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ArchiveError, type ArchiveProgress, ingestArchive } from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'
import { COMPLICATED } from '../src/contract/directory-fixtures.js'
import { SeededRandom } from '../src/contract/random.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'
import {
  archive,
  checksummed,
  dir,
  END,
  entry,
  failureOf,
  file,
  hardLink,
  header,
  ingest,
  longName,
  pax,
  pieces,
  symlink,
  type TarPart,
  tree,
} from './tar-builder.js'

const treeOf = async (...parts: (TarPart | Buffer)[]): Promise<string[]> =>
  tree(await ingest(archive(...parts)))

describe('tree of an archive', () => {
  it('is right when the source uses one Buffer for all its pieces', async () => {
    const parts = [
      dir('top'),
      longName(`top/${'n'.repeat(200)}`),
      file('short', 'content'),
      file('top/z', 'z'),
    ]
    const whole = archive(...parts)
    async function* reused() {
      const buffer = Buffer.alloc(1536)
      for (let at = 0; at < whole.length; at += buffer.length) {
        const length = whole.copy(buffer, 0, at, at + buffer.length)
        yield buffer.subarray(0, length)
      }
    }
    const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
    const node = await ingestArchive(services, reused())
    expect(node).toEqual((await ingest(whole)).node)
  })

  it('06 section 9 the trees of TAR-1 and TAR-3 have their digests', async () => {
    const one = await ingest(archive(file('a/b/c')))
    expect(one.node).toMatchObject({ kind: 'directory', size: 2n })
    expect(one.node.kind === 'directory' && one.node.digest.toHex()).toBe(
      '7f100580caa9232710410f54e60113dd0e884ee26b41bb4e1a3e76d62c8acdad',
    )
    const three = await ingest(archive(dir('a'), dir('a/b'), file('a/b')))
    expect(three.node.kind === 'directory' && three.node.digest.toHex()).toBe(
      '8143ae29cb61fcda532144f21c2d7ab7813ae4286a3dc86a326cab800aa887bf',
    )
  })

  it('5.1 files, executable by the bit of the owner, directories, symlinks', async () => {
    expect(
      await treeOf(
        dir('top/'),
        { ...file('top/a', 'A'), mode: 0o100 },
        { ...file('top/b', 'B'), mode: 0o677 },
        { ...file('top/c', 'C'), type: '7', mode: 0o4755 },
        { ...file('top/old', 'O'), type: '\0', dialect: 'v7' },
        symlink('top/d', '../\xff'),
        dir('top/e/'),
      ),
    ).toEqual(['a "A"*', 'b "B"', 'c "C"*', 'd -> ../Ã¿', 'e/', 'old "O"'])
  })

  it('5.1 a file of an old archive whose name ends in a slash is a directory', async () => {
    expect(await treeOf(file('top/'), file('top/x/'), file('top/y', 'Y'))).toEqual(['x/', 'y "Y"'])
  })

  it('5.1 paths are relative and resolved by name', async () => {
    expect(
      await treeOf(file('./a/b', '1'), file('a//c', '2'), file('a/x/../d', '3'), file('./a/./e/', '')),
    ).toEqual(['b "1"', 'c "2"', 'd "3"', 'e/'])
    expect(await treeOf(dir('./'), file('./foo/a', '1'))).toEqual(['a "1"'])
  })

  it('5.3 entries in reverse order, children before their parents', async () => {
    expect(await treeOf(file('a/b/c', '1'), dir('a/b'), symlink('a/l', 'b'), dir('a'))).toEqual([
      'b/',
      'b/c "1"',
      'l -> b',
    ])
  })

  it('5.3 the last of several files counts, and a directory becomes a file', async () => {
    expect(await treeOf(file('a/b', 'first'), file('a/b', 'last'))).toEqual(['b "last"'])
    expect(await treeOf(file('a/b/c'), file('a/b', 'file'))).toEqual(['b "file"'])
    expect(await treeOf(symlink('a/b', 'c'), file('a/b/c', 'below'))).toEqual(['b/', 'b/c "below"'])
  })

  it('names are bytes: no UTF-8, newlines, prefixes, GNU and PAX long names', async () => {
    const odd = Buffer.from('top/\xff\xfe\n\x01', 'latin1')
    const long = `top/${'d'.repeat(200)}/${'f'.repeat(255)}`
    const lines = await treeOf(
      file(odd, 'odd'),
      { ...file('name', 'prefixed'), patch: (block) => block.write('top/prefix', 345) },
      longName(`${long}1`.slice(0, long.length)),
      { ...file('cut off', 'gnu'), dialect: 'gnu' },
      pax(['path', Buffer.from('top/\xe9', 'latin1')], ['hdrcharset', 'BINARY'], ['mtime', '1.5']),
      file('cut off', 'pax'),
      longName('t'.repeat(4000), 'K'),
      { ...symlink('top/long', 'cut off'), dialect: 'gnu' },
      pax(['linkpath', Buffer.from('\xfft', 'latin1')]),
      symlink('top/short', 'cut off'),
    )
    expect(lines).toEqual([
      `${'d'.repeat(200)}/`,
      `${'d'.repeat(200)}/${'f'.repeat(255)} "gnu"`,
      `long -> ${'t'.repeat(4000)}`,
      'prefix/',
      'prefix/name "prefixed"',
      'short -> \xfft',
      '\xe9 "pax"',
      '\xff\xfe\n\x01 "odd"',
    ])
  })

  it('a PAX path goes before a long name of GNU tar, which goes before the header', async () => {
    expect(await treeOf(longName('a/gnu'), pax(['path', 'a/pax']), file('a/header', '1'))).toEqual([
      'pax "1"',
    ])
    // Taken back by an empty value.
    expect(
      await treeOf(longName('a/gnu'), pax(['path', 'a/pax'], ['path', '']), file('a/header', '1')),
    ).toEqual(['gnu "1"'])
  })

  it('the prefix of a header of GNU tar is none', async () => {
    const times = (block: Buffer) => block.write('13377357000\x0013377357000\0', 345, 'latin1')
    expect(await treeOf({ ...file('a/b', '1'), dialect: 'gnu', patch: times })).toEqual(['b "1"'])
  })

  it('sizes from PAX headers and in base 256', async () => {
    const base256 = (block: Buffer) => {
      block.fill(0, 124, 136)
      block[124] = 0x80
      block[135] = 5
    }
    expect(await treeOf({ ...file('a/b', 'hello'), patch: base256 })).toEqual(['b "hello"'])
    expect(await treeOf(pax(['size', '5']), { ...file('a/b', 'hello'), size: 0 })).toEqual(['b "hello"'])
    // Numbers may stand between spaces, and be missing where they do not matter.
    const loose = (block: Buffer) => {
      block.write('  5 \0       ', 124, 'latin1')
      block.fill(0, 100, 108)
    }
    expect(await treeOf({ ...file('a/b', 'hello'), patch: loose })).toEqual(['b "hello"'])
  })

  it('global headers are passed over', async () => {
    expect(
      await treeOf({ ...pax(['comment', 'f00']), type: 'g', name: '/abs/pax_global_header' }, file('a/b')),
    ).toEqual(['b ""'])
  })

  it.each([1_048_575, 1_048_576, 1_048_577, 5_000_000])('5.3 a file of %i bytes', async (size) => {
    const content = new SeededRandom(size).bytes(size)
    const { node, blobs, directories } = await ingest(archive(file('a/b', content), file('a/c', 'after')))
    const root = node.kind === 'directory' ? await directories.get(node.digest) : undefined
    expect(root?.entries[0]?.node).toEqual({
      kind: 'file',
      digest: B3Digest.of(content),
      size: BigInt(size),
      executable: false,
    })
    expect(await blobs.has(B3Digest.of(content))).toBe(true)
    expect(root?.entries).toHaveLength(2)
  })

  it('an archive may end without zero blocks, with one, or with many', async () => {
    const entries = entry(file('a/b', '1'))
    for (const end of [0, 512, 1024, 10_240, 100 * 512, 1000]) {
      expect(await tree(await ingest(Buffer.concat([entries, Buffer.alloc(end)])))).toEqual(['b "1"'])
    }
  })

  it('sums of signed bytes are checksums, too', async () => {
    const block = checksummed(header(file(Buffer.from('a/\xe9', 'latin1'))))
    const signed = Number.parseInt(block.toString('latin1', 148, 154), 8) - 256
    block.write(`${signed.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    expect(await tree(await ingest(Buffer.concat([block, END])))).toEqual(['\xe9 ""'])
  })

  it.each([1, 7, 511, 513])('the archive may come in pieces of %i bytes', async (length) => {
    const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
    const bytes = archive(pax(['path', 'a/é']), file('x', 'content'), symlink('a/l', 't'), dir('a/e'))
    const node = await ingestArchive(services, pieces(bytes, length))
    expect(await tree({ ...services, node })).toEqual(['e/', 'l -> t', 'Ã© "content"'])
  })

  it('topLevel keep: the tree is what unpacking makes', async () => {
    const bytes = archive(file('a', '1'), file('b/c', '2'), symlink('d', 'a'))
    expect(await tree(await ingest(bytes, { topLevel: 'keep' }))).toEqual([
      'a "1"',
      'b/',
      'b/c "2"',
      'd -> a',
    ])
    expect(await tree(await ingest(archive(dir('./')), { topLevel: 'keep' }))).toEqual([])
    expect(await failureOf(ingest(bytes))).toMatchObject({ code: 'top-level' })
  })

  it('directorySizes: twice', async () => {
    const bytes = archive(file('c/.keep'), symlink('c/aa', '/nix/store/somewhereelse'), file('c/keep/.keep'))
    const once = await ingest(bytes)
    expect(once.node).toEqual(COMPLICATED.toNode())
    const twice = await ingest(bytes, { directorySizes: 'twice' })
    // Spec 06 section 9, "size trap".
    expect(twice.node.kind === 'directory' && twice.node.digest.toHex()).toBe(
      '424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb',
    )
  })

  it('tells how far it has come, and at the end what the tree has', async () => {
    const seen: ArchiveProgress[] = []
    const bytes = archive(dir('a'), file('a/b', 'one'), file('a/b', 'again'), symlink('a/l', 'b'))
    await ingest(bytes, { onProgress: (progress) => seen.push(progress) })
    expect(seen).toHaveLength(5)
    expect(seen[3]).toEqual({ archiveBytes: bytes.length, files: 2, directories: 1, symlinks: 1, bytes: 8 })
    expect(seen[4]).toEqual({ archiveBytes: bytes.length, files: 1, directories: 1, symlinks: 1, bytes: 5 })
  })
})

describe('hard links', () => {
  it('are what their target was when they came', async () => {
    expect(
      await treeOf(
        { ...file('a/one', 'first'), mode: 0o755 },
        hardLink('a/two', 'a/one'),
        file('a/one', 'second'),
        hardLink('a/three', './a/x/../one'),
        hardLink('a/four', 'a/two'),
      ),
    ).toEqual(['four "first"*', 'one "second"', 'three "second"', 'two "first"*'])
  })

  it('may be to symlinks, as GNU tar writes them, and to themselves', async () => {
    expect(await treeOf(symlink('a/s', 't'), hardLink('a/h', 'a/s'))).toEqual(['h -> t', 's -> t'])
    expect(await treeOf(file('a/s', '1'), hardLink('a/s', 'a/s'))).toEqual(['s "1"'])
  })

  it('with long names of both kinds', async () => {
    const name = `a/${'n'.repeat(120)}`
    expect(
      await treeOf(pax(['path', name]), file('x', '1'), longName(name, 'K'), {
        ...hardLink('a/h', 'x'),
        dialect: 'gnu',
      }),
    ).toEqual(['h "1"', `${'n'.repeat(120)} "1"`])
  })

  it.each([
    [
      'what comes later',
      [hardLink('a/b', 'a/c'), file('a/c')],
      /'a\/b'.*'a\/c': no such entry came before it/,
    ],
    ['itself', [hardLink('a/b', 'a/b')], /'a\/b', itself: no such entry/],
    ['a directory', [dir('a/d'), hardLink('a/b', 'a/d')], /that is a directory/],
    ['what was replaced', [file('a/d/x'), file('a/d'), hardLink('a/b', 'a/d/x')], /no such entry/],
    [
      'below a symlink',
      [dir('a/d'), file('a/d/x'), symlink('a/l', 'd'), hardLink('a/b', 'a/l/x')],
      /no such entry/,
    ],
    ['the outside', [file('a/c'), hardLink('a/b', '../etc/passwd')], /leads out of the archive/],
    ['an absolute path', [file('a/c'), hardLink('a/b', '/etc/passwd')], /absolute/],
    ['nothing', [hardLink('a/b', '')], /without a target/],
  ])('to %s are refused', async (_name, parts, message) => {
    const error = await failureOf(ingest(archive(...parts)))
    expect(error).toBeInstanceOf(ArchiveError)
    expect(error).toMatchObject({ code: 'hard-link', message: expect.stringMatching(message) })
  })
})

describe('into an embedded store', () => {
  it('everything is there when it is opened again', async () => {
    const path = join(temporaryFolder(), 'store')
    const large = new SeededRandom(5).bytes(3_000_000)
    const bytes = archive(
      ...Array.from({ length: 300 }, (_, i) => file(`a/${i % 7}/${i}`, `content ${i % 250}`)),
      file('a/large', large),
      file('a/empty'),
      symlink('a/link', 'large'),
    )
    const first = await embeddedServices(path)
    const node = await ingestArchive(first, pieces(bytes))
    await first.engine.close()
    const again = await embeddedServices(path)
    try {
      const { node: inMemory } = await ingest(bytes)
      expect(node).toEqual(inMemory)
      expect(await again.blobs.has(B3Digest.of(large))).toBe(true)
      for (let i = 0; i < 250; i++) {
        const content = Buffer.from(`content ${i}`)
        expect(Buffer.from((await again.blobs.get(B3Digest.of(content)))!)).toEqual(content)
      }
      let directories = 0
      for await (const _ of again.directories.getRecursive(
        node.kind === 'directory' ? node.digest : B3Digest.EMPTY,
      ))
        directories++
      expect(directories).toBe(8)
    } finally {
      await again.engine.close()
    }
  })

  it('a closed one is told as such', async () => {
    const services = await embeddedServices()
    await services.engine.close()
    expect(await failureOf(ingestArchive(services, pieces(archive(file('a/b', 'x')))))).toMatchObject({
      name: 'CastoreError',
      code: 'closed',
    })
  })
})
