import { Directory, type Node, PathComponent } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { CastoreFilesystem, MapRootNodes, type RootNodes, ServiceContent } from '@neve/fs-fuse'
import { describe, expect, it } from 'vitest'
import { type Connection, connect } from '../connection.js'
import { EMPTY_FILE } from '../fixtures.js'
import { frame, u64 } from '../frames.js'

const COUNT = 3000
/** Names of many lengths, so that entries end at every place of a buffer. */
const NAMES = Array.from(
  { length: COUNT },
  (_, index) => `${String(index).padStart(6, '0')}${'x'.repeat(index % 249)}`,
)

interface Listed {
  readonly name: string
  readonly next: number
}

function entriesOf(reply: Buffer, plus: boolean): Listed[] {
  const listed: Listed[] = []
  for (let at = 16; at < reply.length; ) {
    if (plus) at += 128
    const length = reply.readUInt32LE(at + 16)
    const name = reply.subarray(at + 24, at + 24 + length).toString()
    listed.push({ name, next: Number(reply.readBigUInt64LE(at + 8)) })
    at += (24 + length + 7) & ~7
  }
  return listed
}

async function listAll(
  { call }: Connection,
  node: number,
  { plus = false, size = 4096, handle = 0, from = 0 } = {},
): Promise<string[]> {
  const names: string[] = []
  for (let offset = from; ; ) {
    const reply = await call(frame(plus ? 44 : 28, { node }, u64(handle), u64(offset), size, 0, u64(0), 0, 0))
    expect(reply.readInt32LE(4)).toBe(0)
    expect(reply.length - 16).toBeLessThanOrEqual(size)
    const listed = entriesOf(reply, plus)
    if (listed.length === 0) return names
    names.push(...listed.map(({ name }) => name))
    offset = listed.at(-1)!.next
  }
}

async function open(roots?: RootNodes): Promise<Connection> {
  const entries = NAMES.map((name) => [PathComponent.from(name), EMPTY_FILE] as [PathComponent, Node])
  const directory = Directory.fromEntries(entries)
  const directories = new MemoryDirectoryService()
  await directories.put(directory)
  return connect(
    new CastoreFilesystem({
      roots: roots ?? new MapRootNodes([...entries, ['directory', directory.toNode()]]),
      content: new ServiceContent(new MemoryBlobService(), directories),
      listRoot: true,
    }),
  )
}

describe('05: listings', () => {
  it.each([
    { plus: false, size: 288 },
    { plus: false, size: 4096 },
    { plus: true, size: 416 },
    { plus: true, size: 4095 },
    { plus: true, size: 32768 },
    { plus: false, size: 2 ** 31 },
  ])('lists a directory exactly, with $size bytes at once and plus $plus', async (options) => {
    const connection = await open()
    const node = await connection.walk('directory')
    expect(await listAll(connection, node, options)).toEqual(NAMES)
  })

  it.each([
    { plus: false, size: 288 },
    { plus: true, size: 4096 },
    { plus: true, size: 2 ** 17 },
  ])('lists the root exactly, with $size bytes at once and plus $plus', async (options) => {
    const connection = await open()
    const handle = Number((await connection.call(frame(27, {}, 0, 0))).readBigUInt64LE(16))
    expect(await listAll(connection, 1, { ...options, handle })).toEqual([...NAMES, 'directory'])
    // And again, from any place.
    expect(await listAll(connection, 1, { ...options, handle, from: 2990 })).toEqual([
      ...NAMES.slice(2990),
      'directory',
    ])
    expect(await listAll(connection, 1, { ...options, handle })).toHaveLength(COUNT + 1)
  })

  it('goes on from any place of a directory', async () => {
    const connection = await open()
    const node = await connection.walk('directory')
    for (const from of [1, 17, 2999, 3000, 3001, 10 ** 9]) {
      expect(await listAll(connection, node, { from })).toEqual(NAMES.slice(from))
    }
  })

  it('refuses a buffer that has no room for the next entry, rather than end the listing', async () => {
    const connection = await open()
    const node = await connection.walk('directory')
    const reply = await connection.call(frame(28, { node }, u64(0), u64(248), 100, 0, u64(0), 0, 0))
    expect(reply.readInt32LE(4)).toBe(-22)
  })

  it('lists a slow root as far as it is known, and an error behind what came before it', async () => {
    let closed = false
    const roots: RootNodes = {
      get: () => undefined,
      async *list() {
        try {
          for (const name of NAMES.slice(0, 5)) yield { name: PathComponent.from(name), node: EMPTY_FILE }
          throw new Error('the provider fails')
        } finally {
          closed = true
        }
      },
    }
    const connection = await open(roots)
    const handle = Number((await connection.call(frame(27, {}, 0, 0))).readBigUInt64LE(16))
    const replies: string[][] = []
    let error = 0
    for (let offset = 0; error === 0; ) {
      const reply = await connection.call(frame(28, {}, u64(handle), u64(offset), 4096, 0, u64(0), 0, 0))
      error = reply.readInt32LE(4)
      const listed = entriesOf(reply, false)
      replies.push(listed.map(({ name }) => name))
      offset = listed.at(-1)?.next ?? offset
    }
    expect(error).toBe(-5)
    // Many in a reply, also where each is waited for: what a provider has at hand is not slow.
    expect(replies).toEqual([NAMES.slice(0, 5), []])
    expect(closed).toBe(true)
  })
})
