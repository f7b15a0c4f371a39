import { ArchiveError } from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'
import { archive, entry, failureOf, file, ingest, pax, type TarPart, tree } from './tar-builder.js'

type Segment = readonly [number, number]

/** Writes the segments of a sparse file as GNU tar does: 24 bytes each, in octal. */
function segments(block: Buffer, at: number, list: readonly Segment[]): void {
  for (const [i, numbers] of list.entries()) {
    for (const [j, number] of numbers.entries()) {
      block.write(`${number.toString(8).padStart(11, '0')}\0`, at + i * 24 + j * 12, 'latin1')
    }
  }
}

/** A sparse file of the old form, its list going on in blocks behind the header. */
function gnuSparse(name: string, content: string, realSize: number, list: readonly Segment[]): Buffer {
  const rest = list.slice(4)
  const blocks: Buffer[] = []
  for (let i = 0; i < rest.length; i += 21) {
    const block = Buffer.alloc(512)
    segments(block, 0, rest.slice(i, i + 21))
    if (i + 21 < rest.length) block[504] = 1
    blocks.push(block)
  }
  const part: TarPart = {
    name,
    type: 'S',
    dialect: 'gnu',
    content,
    patch: (block) => {
      segments(block, 386, list.slice(0, 4))
      if (rest.length > 0) block[482] = 1
      block.write(`${realSize.toString(8).padStart(11, '0')}\0`, 483, 'latin1')
    },
  }
  const whole = entry(part)
  return Buffer.concat([whole.subarray(0, 512), ...blocks, whole.subarray(512)])
}

const sparse = (...records: (readonly [string, string])[]): TarPart =>
  pax(...records.map(([key, value]) => [`GNU.sparse.${key}`, value] as const))

/** The list of pieces of version 1.0: lines in blocks of their own. */
function listed(...lines: readonly (number | string)[]): string {
  const text = `${lines.join('\n')}\n`
  return text.padEnd(Math.ceil(text.length / 512) * 512, '\0')
}
const ONE = [
  ['major', '1'],
  ['minor', '0'],
  ['name', 'a/b'],
  ['realsize', '6'],
] as const

const filled = ['b "\0\0ab\0c"']

describe('sparse files', () => {
  it('of the old form', async () => {
    const bytes = archive(
      gnuSparse('a/b', 'abc', 6, [
        [2, 2],
        [5, 1],
      ]),
      file('a/c', 'after'),
    )
    expect(await tree(await ingest(bytes))).toEqual([...filled, 'c "after"'])
  })

  it.each([4, 5, 25, 26, 50])('of the old form with %i pieces', async (count) => {
    const list = Array.from({ length: count }, (_, i) => [i * 2 + 1, 1] as const)
    const bytes = archive(gnuSparse('a/b', 'x'.repeat(count), count * 2, list), file('a/c', 'after'))
    expect(await tree(await ingest(bytes))).toEqual([`b "${'\0x'.repeat(count)}"`, 'c "after"'])
  })

  it('of version 0.0, 0.1 and 1.0', async () => {
    const content = file('a/b', 'abc')
    for (const records of [
      sparse(
        ['size', '6'],
        ['numblocks', '2'],
        ['offset', '2'],
        ['numbytes', '2'],
        ['offset', '5'],
        ['numbytes', '1'],
      ),
      sparse(['size', '6'], ['numblocks', '2'], ['map', '2,2,5,1']),
      sparse(['size', '6'], ['map', '2,2,5,1'], ['name', 'a/b']),
    ]) {
      expect(await tree(await ingest(archive(records, content, file('a/c', 'after'))))).toEqual([
        ...filled,
        'c "after"',
      ])
    }
    const one = archive(
      sparse(...ONE),
      file('a/GNUSparse.1/b', `${listed(2, 2, 2, 5, 1)}abc`),
      file('a/c', 'after'),
    )
    expect(await tree(await ingest(one))).toEqual([...filled, 'c "after"'])
  })

  it('a list of several blocks, with a number across two of them', async () => {
    const numbers = Array.from({ length: 200 }, (_, i) => [i * 1000 + 1, 1]).flat()
    const bytes = archive(
      sparse(['major', '1'], ['minor', '0'], ['name', 'a/b'], ['realsize', '200000']),
      file('a/x', listed(200, ...numbers) + 'x'.repeat(200)),
    )
    expect(await tree(await ingest(bytes))).toEqual([`b "${`\0x${'\0'.repeat(998)}`.repeat(200)}"`])
  })

  it('nothing but a hole, and nothing at all', async () => {
    expect(await tree(await ingest(archive(sparse(['size', '3'], ['map', '3,0']), file('a/b'))))).toEqual([
      'b "\0\0\0"',
    ])
    expect(await tree(await ingest(archive(sparse(['size', '0'], ['map', '']), file('a/b'))))).toEqual([
      'b ""',
    ])
    expect(await tree(await ingest(archive(gnuSparse('a/b', '', 2, [[2, 0]]))))).toEqual(['b "\0\0"'])
  })
})

const contentOf = (list: string): TarPart => file('a/x', `${list}abc`)

describe('refused sparse files', () => {
  it.each([
    [
      'pieces that overlap',
      archive(
        gnuSparse('a/b', 'abc', 6, [
          [2, 2],
          [3, 1],
        ]),
      ),
      /a piece at 3 overlaps/,
    ],
    [
      'pieces out of order',
      archive(sparse(['size', '6'], ['map', '5,1,2,2']), file('a/b', 'abc')),
      /overlaps/,
    ],
    [
      'a piece behind the end',
      archive(gnuSparse('a/b', 'abc', 4, [[2, 3]])),
      /a piece to 5 in a file of 4 bytes/,
    ],
    [
      'more content than pieces',
      archive(gnuSparse('a/b', 'abc', 6, [[2, 2]])),
      /pieces of 2 bytes in all, but 3/,
    ],
    [
      'less content than pieces',
      archive(gnuSparse('a/b', 'abc', 9, [[2, 4]])),
      /pieces of 4 bytes in all, but 3/,
    ],
    ['a form of another program', archive({ ...file('a/b'), type: 'S' }), /other than that of GNU tar/],
    [
      'two descriptions',
      archive(sparse(['size', '1'], ['map', '']), gnuSparse('a/b', '', 1, [[1, 0]])),
      /two ways/,
    ],
    ['no real size', archive(sparse(['map', '0,3']), file('a/b', 'abc')), /without its real size/],
    [
      'half a piece',
      archive(sparse(['size', '6'], ['map', '2,2,5']), file('a/b', 'abc')),
      /in the middle of one/,
    ],
    [
      'an offset without a length',
      archive(sparse(['size', '6'], ['offset', '2'], ['offset', '3']), file('a/b', 'abc')),
      /out of order/,
    ],
    [
      'an unknown version',
      archive(sparse(['major', '2'], ['minor', '0'], ['realsize', '3']), file('a/b', 'abc')),
      /version 2.0/,
    ],
    [
      'a directory',
      archive(sparse(['size', '0'], ['map', '']), { name: 'a', type: '5' }),
      /a directory that is sparse/,
    ],
    [
      'a list that does not end',
      archive(sparse(...ONE), file('a/x', `300\n${'1\n'.repeat(254)}`)),
      /does not end within 512/,
    ],
    [
      'a list with less than it says',
      archive(sparse(...ONE), contentOf(listed(9, 1, 2))),
      /expected numbers/,
    ],
    ['a list without numbers', archive(sparse(...ONE), contentOf('x'.repeat(512))), /expected numbers/],
    ['no room for a list', archive(sparse(...ONE), file('a/x', 'abc')), /does not end within 3 bytes/],
  ])('%s', async (_name, bytes, message) => {
    const error = await failureOf(ingest(bytes))
    expect(error).toBeInstanceOf(ArchiveError)
    expect(error).toMatchObject({ code: 'sparse', message: expect.stringMatching(message) })
  })

  it.each([
    [
      'a number that is none',
      archive(sparse(['size', '6'], ['map', '2,x']), file('a/b', 'abc')),
      'extended-header',
    ],
    ['a line that is none', archive(sparse(...ONE), contentOf(listed(1, 'x', 3))), 'extended-header'],
    ['an empty line', archive(sparse(...ONE), contentOf(listed(1, '', 3))), 'extended-header'],
    [
      'a list cut short',
      archive(
        gnuSparse(
          'a/b',
          'x'.repeat(9),
          99,
          Array.from({ length: 9 }, (_, i) => [i * 2, 1] as const),
        ),
      ).subarray(0, 700),
      'truncated',
    ],
    [
      'a list that never ends',
      archive(
        gnuSparse(
          'a/b',
          '',
          0,
          Array.from({ length: 50_000 }, () => [0, 0] as const),
        ),
      ),
      'limit',
    ],
    ['a file of 2^50 bytes', archive(sparse(['size', `${2 ** 50}`], ['map', '0,0']), file('a/b')), 'limit'],
    ['a list of 2^40 pieces', archive(sparse(...ONE), file('a/x', listed(2 ** 40).repeat(3000))), 'sparse'],
  ])('%s', async (_name, bytes, code) => {
    const error = await failureOf(ingest(bytes))
    expect(error).toBeInstanceOf(ArchiveError)
    expect(error).toMatchObject({ code })
  })
})
