import { FuseSession } from '@neve/fs-fuse'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Connection, connect } from '../connection.js'
import { BLOB_A_NAME, DIRECTORY_COMPLICATED_NAME, fixtureFilesystem } from '../fixtures.js'
import { errorOf, frame, INIT_OF_LINUX, named, u64 } from '../frames.js'
import { MemoryTransport } from '../memory-transport.js'

const EINVAL = -22
const EROFS = -30
const ENOSYS = -38
const ESTALE = -116
/** Operations that nobody answers. */
const UNANSWERED = new Set([2, 36, 41, 42])

async function open(): Promise<Connection> {
  return connect(await fixtureFilesystem({ showXattr: true, listRoot: true }))
}

describe('05: messages that are wrong', () => {
  it('has nobody to answer when there is not even a header', async () => {
    const { transport, faults } = await open()
    for (const length of [0, 1, 39]) expect(transport.request(new Uint8Array(length))).toEqual([])
    expect(faults).toHaveLength(3)
  })

  it.each([40, 48, 1000, 2 ** 32 - 1])('refuses a message that says it has %s bytes', async (length) => {
    const { call } = await open()
    expect(errorOf(await call(frame(1, { length }, named('name'))))).toBe(EINVAL)
  })

  it('refuses names without a NUL, or with one in the middle', async () => {
    const { call } = await open()
    expect(errorOf(await call(frame(1, {}, Buffer.from('name'))))).toBe(EINVAL)
    expect(errorOf(await call(frame(1, {}, Buffer.from('a\0b\0'))))).toBe(EINVAL)
    expect(errorOf(await call(frame(1, {})))).toBe(EINVAL)
  })

  it.each([
    ['READ', 15],
    ['READDIR', 28],
    ['READDIRPLUS', 44],
    ['RELEASE', 18],
    ['RELEASEDIR', 29],
    ['GETXATTR', 22],
    ['LISTXATTR', 23],
    ['LSEEK', 46],
  ])('refuses %s whose body is cut off', async (_, opcode) => {
    const { call, walk } = await open()
    const node = await walk(BLOB_A_NAME)
    expect(errorOf(await call(frame(opcode, { node })))).toBe(EINVAL)
  })

  it('refuses names that are too long with ENAMETOOLONG, and finds none of 255 bytes', async () => {
    const { call, walk } = await open()
    const node = await walk(DIRECTORY_COMPLICATED_NAME)
    expect(errorOf(await call(frame(1, {}, named('n'.repeat(256)))))).toBe(-36)
    expect(errorOf(await call(frame(1, { node }, named('n'.repeat(1024)))))).toBe(-36)
    expect(errorOf(await call(frame(1, {}, named('n'.repeat(255)))))).toBe(-2)
  })

  it('knows only the nodes that it gave', async () => {
    const { call } = await open()
    for (const node of [0, 2, 2 ** 22, 2 ** 40, 2 ** 53]) {
      expect(errorOf(await call(frame(3, { node }, 0, 0, u64(0)))), `GETATTR ${node}`).toBe(ESTALE)
      expect(errorOf(await call(frame(1, { node }, named('a')))), `LOOKUP in ${node}`).toBe(ESTALE)
      expect(errorOf(await call(frame(14, { node }, 0, 0))), `OPEN ${node}`).toBe(ESTALE)
      expect(errorOf(await call(frame(27, { node }, 0, 0))), `OPENDIR ${node}`).toBe(ESTALE)
      expect(errorOf(await call(frame(5, { node }))), `READLINK ${node}`).toBe(ESTALE)
    }
  })

  it('knows only the handles that it gave, and each with its file only', async () => {
    const { call, walk } = await open()
    const node = await walk(BLOB_A_NAME)
    const handle = Number((await call(frame(14, { node }, 0, 0))).readBigUInt64LE(16))
    const read = (of: number, by: number) =>
      call(frame(15, { node: of }, u64(by), u64(0), 4096, 0, u64(0), 0, 0))
    expect(errorOf(await read(node, handle))).toBe(0)
    expect(errorOf(await read(node, handle + 1))).toBe(-5)
    expect(errorOf(await read(1, handle))).toBe(-5)
    expect(errorOf(await call(frame(18, { node }, u64(handle + 1), 0, 0, u64(0))))).toBe(0)
    expect(errorOf(await read(node, handle))).toBe(0)
  })

  it.each([4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51])(
    'answers writing operation %s with EROFS',
    async (opcode) => {
      const { call } = await open()
      expect(errorOf(await call(frame(opcode, {}, new Uint8Array(64))))).toBe(EROFS)
    },
  )

  it.each([0, 7, 19, 31, 32, 33, 37, 39, 40, 48, 49, 50, 52, 53, 1000, 4096, 2 ** 32 - 1])(
    'answers unknown operation %s with ENOSYS',
    async (opcode) => {
      const { call } = await open()
      expect(errorOf(await call(frame(opcode, {}, new Uint8Array(64))))).toBe(ENOSYS)
    },
  )

  it('serves nothing before the connection has begun, and no version below 7', async () => {
    const transport = new MemoryTransport()
    void new FuseSession(await fixtureFilesystem(), transport).run()
    expect(errorOf(transport.request(frame(3, {}, 0, 0, u64(0)))[0])).toBe(-5)
    const old = Buffer.from(INIT_OF_LINUX)
    old.writeUInt32LE(6, 40)
    expect(errorOf(transport.request(old)[0])).toBe(-71)
    const newer = Buffer.from(INIT_OF_LINUX)
    newer.writeUInt32LE(8, 40)
    expect(transport.request(newer)[0]?.readUInt32LE(16)).toBe(7)
    expect(errorOf(transport.request(frame(3, {}, 0, 0, u64(0)))[0])).toBe(-5)
    expect(errorOf(transport.request(INIT_OF_LINUX)[0])).toBe(0)
    expect(errorOf(transport.request(frame(3, {}, 0, 0, u64(0)))[0])).toBe(0)
  })

  it.each([
    [31, 16 + 64],
    [23, 16 + 64],
    [22, 16 + 24],
    [4, 16 + 8],
  ])('answers INIT of version 7.%s in %s bytes', async (minor, length) => {
    const transport = new MemoryTransport()
    void new FuseSession(await fixtureFilesystem(), transport).run()
    const init = Buffer.from(INIT_OF_LINUX)
    init.writeUInt32LE(minor, 44)
    expect(transport.request(init)[0]?.length).toBe(length)
  })

  it('answers whatever comes with exactly one reply that is in order', async () => {
    const { transport, walk } = await open()
    const nodes = [1, await walk(BLOB_A_NAME), await walk(DIRECTORY_COMPLICATED_NAME)]
    const request = fc.record({
      opcode: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.nat()),
      node: fc.oneof(fc.constantFrom(...nodes), fc.maxSafeInteger().map(Math.abs)),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc
          .array(fc.integer({ min: 0, max: 4096 }), { maxLength: 16 })
          .map((words) => frame(0, {}, ...words).subarray(40)),
      ),
    })
    let unique = 1000
    const check = async ({ opcode, node, body }: { opcode: number; node: number; body: Uint8Array }) => {
      unique += 2
      transport.request(frame(opcode, { unique, node }, body))
      if (UNANSWERED.has(opcode)) {
        expect(transport.replies).toEqual([])
        return
      }
      await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(1)
      const reply = transport.replies[0]!
      expect(reply.readUInt32LE(0)).toBe(reply.length)
      expect(Number(reply.readBigUInt64LE(8))).toBe(unique)
      const error = reply.readInt32LE(4)
      expect(error).toBeLessThanOrEqual(0)
      expect(error).toBeGreaterThan(-512)
      if (error !== 0) expect(reply.length).toBe(16)
    }
    // Another INIT begins again, which is no fault.
    await fc.assert(fc.asyncProperty(request, check), { numRuns: 2000 })
  })
})
