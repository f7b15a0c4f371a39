import { appendFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { layoutOf, openFormat } from '../src/format.js'
import { SEGMENT_HEADER, segmentName } from '../src/segment.js'
import { SegmentWriter } from '../src/segment-writer.js'
import { REMOVED_SEGMENT } from '../src/table-values.js'
import { Tables } from '../src/tables.js'
import { temporaryFolder } from './support.js'

const SIZE = 1024
const FILLED = { committed: 500, sealed: false }

function open() {
  const layout = layoutOf(join(temporaryFolder(), 'store'))
  const salt = openFormat(layout, true)
  const tables = new Tables(layout.tables, false)
  const acquire = (from = tables) => SegmentWriter.acquire(layout.segments, from, salt, SIZE)
  return { layout, tables, acquire, files: () => readdirSync(layout.segments) }
}

/** Has a writer commit 100 bytes. */
async function committed(tables: Tables, writer: SegmentWriter): Promise<SegmentWriter> {
  await writer.append([new Uint8Array(100)]).written
  const segments = new Map([[writer.id, await writer.sync(false)]])
  await tables.publish({ content: new Map(), entries: [], segments })
  return writer
}

it('gives each number of a segment to one writer, and a file that nothing was committed to back', async () => {
  const { layout, tables, acquire, files } = open()
  const other = new Tables(layout.tables, false)
  const writers = Array.from({ length: 20 }, (_, i) => acquire(i % 2 === 0 ? tables : other))
  expect(writers.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  for (const writer of writers) await writer.close(tables)
  expect(files()).toEqual([])
  await tables.close()
  await other.close()
})

it('goes on in a segment that is not full, and not under the number of one that was removed', async () => {
  const { tables, acquire, files } = open()
  const first = await committed(tables, acquire())
  await first.close(tables)
  const second = acquire()
  expect([second.id, second.length]).toEqual([first.id, SEGMENT_HEADER + 100])
  await tables.publish({
    content: new Map(),
    entries: [],
    segments: new Map([
      [second.id, await second.sync(true)],
      [7, REMOVED_SEGMENT],
    ]),
  })
  await second.close(tables)
  const third = acquire()
  expect(third.id).toBe(8)
  expect(files()).toEqual([segmentName(1), segmentName(8)])
  await third.close(tables)
  await tables.close()
})

it('gives no number that was used up since the tables were looked at', async () => {
  const { tables, acquire, files } = open()
  const segments = new Map([1, 2].map((id) => [id, REMOVED_SEGMENT] as const))
  await tables.publish({ content: new Map(), entries: [], segments })
  vi.spyOn(tables, 'segmentStates').mockReturnValueOnce(new Map())
  const writer = acquire()
  expect([writer.id, files()]).toEqual([3, [segmentName(3)]])
  await writer.close(tables)
  await tables.close()
})

it('cuts off all that dead writers have left before it goes on in what one of them has left', async () => {
  const { layout, tables, acquire } = open()
  const lengths = () => [1, 2, 3].map((id) => statSync(join(layout.segments, segmentName(id))).size)
  const first = await committed(tables, acquire())
  const alive = acquire()
  await alive.append([new Uint8Array(300)]).written
  await first.close(tables)
  // As it is when somebody is killed who had gone on from one segment to another.
  appendFileSync(join(layout.segments, segmentName(1)), new Uint8Array(50))
  writeFileSync(join(layout.segments, segmentName(3)), new Uint8Array(80))
  const writer = acquire()
  expect([writer.id, writer.length]).toEqual([1, SEGMENT_HEADER + 100])
  expect(lengths()).toEqual([SEGMENT_HEADER + 100, SEGMENT_HEADER + 300, SEGMENT_HEADER])
  await writer.close(tables)
  await alive.close(tables)
  await tables.close()
})

it.each(['filled', 'removed'] as const)(
  'does not take a file that somebody else has had and %s',
  async (fate) => {
    const { tables, acquire, files } = open()
    const refresh = tables.refresh.bind(tables)
    // The first look is before the file is made, the second under its lock: until then somebody else may have it.
    const looks = vi.spyOn(tables, 'refresh').mockImplementation(() => {
      refresh()
      if (looks.mock.calls.length !== 2) return
      vi.spyOn(tables, 'segmentState').mockReturnValueOnce(fate === 'filled' ? FILLED : REMOVED_SEGMENT)
    })
    const taken = acquire()
    looks.mockRestore()
    expect([taken.id, files()]).toEqual([
      2,
      fate === 'filled' ? [segmentName(1), segmentName(2)] : [segmentName(2)],
    ])
    await taken.close(tables)
    await tables.close()
  },
)
