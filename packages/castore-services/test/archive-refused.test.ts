import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  ArchiveError,
  type ArchiveErrorCode,
  type IngestArchiveOptions,
  ingestArchive,
} from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'
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
  paxRecord,
  pieces,
  symlink,
  type TarPart,
} from './tar-builder.js'

type Row = readonly [
  name: string,
  bytes: Buffer,
  code: ArchiveErrorCode,
  message?: RegExp | undefined,
  options?: IngestArchiveOptions,
]

const one = (part: TarPart): Buffer => archive(file('top/before', 'x'), part)
const extended = (...parts: TarPart[]): Buffer => archive(...parts, file('top/x'))
const rawPax = (content: string | Buffer, type = 'x'): TarPart => ({ name: 'x', type, content })

/** A field of a header with these bytes. */
const field =
  (at: number, bytes: string) =>
  (block: Buffer): void => {
    block.write(bytes, at, 'latin1')
  }

const paths: readonly Row[] = [
  ['an absolute path', one(file('/a/b')), 'path', /'\/a\/b' \(at byte 1024\): an absolute path/],
  ['a path above the top', one(file('../a')), 'path', /leads out of the archive/],
  ['a path that goes up too far', one(file('a/../../b')), 'path', /leads out of the archive/],
  ['an absolute PAX path', extended(pax(['path', '/etc/passwd'])), 'path'],
  ['an absolute long name', extended(longName('/etc/passwd')), 'path'],
  ['a prefix that makes it absolute', one({ ...file('b'), patch: field(345, '/a') }), 'path'],
  [
    'a component of 256 bytes',
    extended(pax(['path', `top/${'x'.repeat(256)}`])),
    'path',
    /component cannot be over 255/,
  ],
  ['a NUL in a PAX path', extended(pax(['path', 'top/a\0b'])), 'path', /component cannot contain null/],
  ['an absolute directory', one(dir('/a')), 'path'],
  ['a symlink that stands outside', one(symlink('../a', 'b')), 'path'],
]

const types: readonly Row[] = [
  [
    'a character device',
    one({ name: 'top/null', type: '3' }),
    'entry-type',
    /'top\/null'.*a character device/,
  ],
  ['a block device', one({ name: 'top/sda', type: '4' }), 'entry-type', /a block device/],
  ['a FIFO', one({ name: 'top/pipe', type: '6' }), 'entry-type', /a FIFO/],
  ['an unknown type', one({ name: 'top/x', type: 'Z' }), 'entry-type', /unknown type "Z"/],
  ['a volume label', one({ name: 'label', type: 'V' }), 'entry-type', /volume label/],
  ['a part of another volume', one({ name: 'top/x', type: 'M' }), 'entry-type'],
  ['a symlink without target', one(symlink('top/l', '')), 'symlink-target', /without a target/],
  [
    'a symlink with a target of 4096 bytes',
    extended(longName('t'.repeat(4096), 'K'), symlink('top/l', 'x')),
    'symlink-target',
  ],
  [
    'a symlink with a NUL in its target',
    extended(pax(['linkpath', 'a\0b']), symlink('top/l', 'x')),
    'symlink-target',
  ],
  [
    'a symlink with content',
    one({ ...symlink('top/l', 'x'), content: 'data' }),
    'unexpected-content',
    /4 bytes of content/,
  ],
  [
    'a hard link with content',
    one({ ...hardLink('top/l', 'top/before'), content: 'data' }),
    'unexpected-content',
  ],
  ['a directory with content', one({ ...dir('top/d'), content: 'data' }), 'unexpected-content'],
  ['an old directory with content', one(file('top/d/', 'data')), 'unexpected-content'],
]

const headers: readonly Row[] = [
  [
    'text',
    Buffer.alloc(600, 'This is no archive. '),
    'checksum',
    /at byte 0: expected a header with the checksum/,
  ],
  ['a damaged name', flipped(one(file('top/x')), 1024), 'checksum', /at byte 1024/],
  ['a damaged checksum', flipped(one(file('top/x')), 1024 + 150), 'checksum'],
  [
    'a size that is no number',
    one({ ...file('top/x'), patch: field(124, '0000000001x\0') }),
    'header',
    /octal number as the size/,
  ],
  ['a negative size', one({ ...file('top/x'), patch: field(124, '\xff'.repeat(12)) }), 'header'],
  [
    'a size of 2^80',
    one({ ...file('top/x'), patch: field(124, '\x80\x01\0\0\0\0\0\0\0\0\0\0') }),
    'header',
    /below 2\^53/,
  ],
  ['a digit of 8', one({ ...file('top/x'), patch: field(124, '00000000008\0') }), 'header'],
  ['a mode that is no number', one({ ...file('top/x'), patch: field(100, 'rwxr-xr') }), 'header', /the mode/],
]

const extensions: readonly Row[] = [
  ['a record without length', extended(rawPax('path=x\n')), 'extended-header'],
  ['a record with a length that is no number', extended(rawPax('1x path=x\n')), 'extended-header'],
  ['a record that is longer than the header', extended(rawPax('99 path=x\n')), 'extended-header'],
  ['a record that does not end in a newline', extended(rawPax('9 path=xx')), 'extended-header'],
  ['a record of length 0', extended(rawPax('0 path=x\n')), 'extended-header'],
  ['a record that is only its length', extended(rawPax('2 \n')), 'extended-header'],
  ['a record without a key', extended(rawPax('5 =x\n')), 'extended-header'],
  ['a record without =', extended(rawPax('7 path\n')), 'extended-header'],
  [
    'zeros behind the records',
    extended(rawPax(Buffer.concat([paxRecord('path', 'a/b'), Buffer.alloc(8)]))),
    'extended-header',
  ],
  ['a size that is no number', extended(pax(['size', '-1'])), 'extended-header'],
  ['a size of 2^53', extended(pax(['size', '9007199254740992'])), 'extended-header'],
  [
    'a path for all entries',
    extended({ ...pax(['path', 'x']), type: 'g' }),
    'extended-header',
    /all entries cannot set path/,
  ],
  ['a size for all entries', extended({ ...pax(['size', '1']), type: 'g' }), 'extended-header'],
  [
    'two PAX headers',
    extended(pax(['path', 'a/x']), pax(['path', 'a/y'])),
    'extended-header',
    /two extended headers/,
  ],
  ['two long names', extended(longName('a/x'), longName('a/y')), 'extended-header'],
  ['two long targets', extended(longName('a/x', 'K'), longName('a/y', 'K')), 'extended-header'],
  [
    'a PAX header at the end',
    archive(file('a/b'), pax(['path', 'a/x'])),
    'extended-header',
    /without an entry/,
  ],
  [
    'a long name at the end, without zeros',
    archive(file('a/b'), longName('a/x')).subarray(0, -1024),
    'extended-header',
  ],
]

const ends: readonly Row[] = [
  [
    'within a header',
    archive(file('a/b', 'x')).subarray(0, 300),
    'truncated',
    /expected a header of 512 bytes, got 300/,
  ],
  [
    'within content',
    archive(file('a/b', 'x'.repeat(2000))).subarray(0, 1000),
    'truncated',
    /'a\/b'.*ends in the middle/,
  ],
  [
    'within content of a large file',
    archive(file('a/b', Buffer.alloc(2_000_000))).subarray(0, 1_500_000),
    'truncated',
    /'a\/b' \(at byte 0\)/,
  ],
  ['within the zeros behind content', archive(file('a/b', 'x')).subarray(0, 700), 'truncated'],
  ['within a PAX header', archive(pax(['path', 'a/x'])).subarray(0, 515), 'truncated'],
  ['after a size larger than everything', archive({ ...file('a/b', 'x'), size: 1_000_000 }), 'truncated'],
  [
    'with text behind the end',
    Buffer.concat([archive(file('a/b')), Buffer.from('text')]),
    'trailing-garbage',
    /at byte 1536/,
  ],
  [
    'with another archive behind the end',
    Buffer.concat([archive(file('a/b')), archive(file('a/c'))]),
    'trailing-garbage',
  ],
  [
    'with an entry behind one zero block',
    Buffer.concat([entry(file('a/b')), Buffer.alloc(512), entry(file('a/c')), END]),
    'trailing-garbage',
  ],
]

const limits: readonly Row[] = [
  [
    'maxEntries',
    archive(file('a/1'), file('a/2'), file('a/3')),
    'limit',
    /expected at most 3 \(maxEntries\), got 4/,
    { maxEntries: 3 },
  ],
  [
    'maxEntries, directories that are implied',
    archive(file('a/b/c/d')),
    'limit',
    undefined,
    { maxEntries: 3 },
  ],
  [
    'maxDepth',
    archive(file('a/b/c/d')),
    'limit',
    /components of a path: expected at most 3 \(maxDepth\), got 4/,
    { maxDepth: 3 },
  ],
  ['maxDepth by default', extended(pax(['path', 'x/'.repeat(1025)])), 'limit', /maxDepth/],
  ['maxNameLength', extended(pax(['path', 'a/b/c/d'])), 'limit', /bytes of a name/, { maxNameLength: 6 }],
  ['maxNameLength by default', extended(longName('x/'.repeat(32_769))), 'limit', /maxNameLength/],
  [
    'maxNameLength of links',
    extended(longName('abcdefg', 'K'), hardLink('b', 'x')),
    'limit',
    /link target/,
    { maxNameLength: 6 },
  ],
  ['maxHeaderSize', extended(pax(['comment', 'x'.repeat(2 ** 20)])), 'limit', /maxHeaderSize/],
  ['maxHeaderSize, before it is read', archive({ ...longName(''), size: 2 ** 32 }), 'limit', /maxHeaderSize/],
  [
    'maxSize of files, before they are read',
    archive(file('a/b', 'xx'), pax(['size', `${2 ** 40}`]), file('a/c')),
    'limit',
    /maxSize/,
  ],
  ['maxSize of the archive', archive(file('a/b', 'x'.repeat(5000))), 'limit', /maxSize/, { maxSize: 6000 }],
]

const tops: readonly Row[] = [
  ['two names', archive(dir('a'), dir('b')), 'top-level'],
  ['a file', archive(file('a')), 'top-level'],
  ['a symlink', archive(symlink('a', 'b')), 'top-level'],
  ['a hard link', archive(dir('a'), file('a/b'), hardLink('c', 'a/b')), 'top-level'],
  ['only itself', archive(dir('./')), 'top-level'],
  ['nothing', END, 'top-level'],
  ['nothing, to be kept', END, 'top-level', /empty/, { topLevel: 'keep' }],
  ['no bytes', Buffer.alloc(0), 'top-level'],
  [
    'a duplicate, where that is refused',
    archive(file('a/b'), file('a/b')),
    'duplicate',
    /'a\/b' \(at byte 512\)/,
    { duplicates: 'refuse' },
  ],
]

function flipped(bytes: Buffer, at: number): Buffer {
  const damaged = Buffer.from(bytes)
  damaged[at]! ^= 0x01
  return damaged
}

describe.each<readonly [string, readonly Row[]]>([
  ['paths', paths],
  ['types', types],
  ['headers', headers],
  ['extended headers', extensions],
  ['ends', ends],
  ['limits', limits],
  ['tops', tops],
])('refused: %s', (_group, rows) => {
  it.each(rows.map((row) => [row[0], row] as const))('%s', async (_name, row) => {
    const [, bytes, code, message = /./, options = {}] = row
    const error = await failureOf(ingest(bytes, options))
    expect(error).toBeInstanceOf(ArchiveError)
    expect(error).toMatchObject({ name: 'ArchiveError', code, message: expect.stringMatching(message) })
  })
})

describe('failures', () => {
  it('name the entry as bytes, and where its header stands', async () => {
    const name = Buffer.from('top/\xff\n', 'latin1')
    const error = await failureOf(ingest(one({ name, type: '6' })))
    expect(error).toMatchObject({
      offset: 1024,
      message: "'top/\\xff\\n' (at byte 1024): a FIFO, which a tree cannot hold",
    })
    expect((error as ArchiveError).entry).toEqual(new Uint8Array(name))
  })

  it('do not repeat a name of any length', async () => {
    const error = await failureOf(ingest(extended(longName(`/${'x'.repeat(60_000)}`))))
    expect(error.message.length).toBeLessThan(400)
  })

  it('are an error of the options when a limit makes no sense', async () => {
    for (const maxEntries of [-1, 1.5, Number.NaN]) {
      expect(await failureOf(ingest(archive(file('a/b')), { maxEntries }))).toBeInstanceOf(RangeError)
    }
  })

  it('close the source, and leave no root behind', async () => {
    const directories = new MemoryDirectoryService()
    let closed = 0
    async function* source(bytes: Uint8Array) {
      try {
        yield* pieces(bytes, 100)
      } finally {
        closed++
      }
    }
    for (const bytes of [
      one({ name: 'x', type: '6' }),
      flipped(one(file('top/x')), 1024),
      archive(file('a')),
    ]) {
      await failureOf(ingestArchive({ blobs: new MemoryBlobService(), directories }, source(bytes)))
    }
    expect(closed).toBe(3)
  })

  it('of the source are told as such', async () => {
    async function* source() {
      yield archive(file('a/b', 'x'.repeat(5000))).subarray(0, 1000)
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
    }
    const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
    const error = await failureOf(ingestArchive(services, source()))
    expect(error).toMatchObject({ name: 'ArchiveError', code: 'source', cause: { code: 'EIO' } })
  })

  it('of the services pass through as they are', async () => {
    class Full extends MemoryBlobService {
      override async put(): Promise<never> {
        throw new Error('no space left')
      }
    }
    const services = { blobs: new Full(), directories: new MemoryDirectoryService() }
    const error = await failureOf(ingestArchive(services, pieces(archive(file('a/b', 'x')))))
    expect(error).toMatchObject({ name: 'IngestError', code: 'blob-write' })
  })

  it('a header may have any sum where it says so', async () => {
    // The builder's own sum, so that the rows above fail for what they say.
    expect(checksummed(header(file('a/b')))).toEqual(header(file('a/b')))
  })
})
