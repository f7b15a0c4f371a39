import { describe, expect, it } from 'vitest'
import { connect } from '../connection.js'
import { BLOB_A_NAME, DIRECTORY_COMPLICATED_NAME, fixtureFilesystem } from '../fixtures.js'
import { errorOf, frame, INIT_OF_LINUX, named, u64 } from '../frames.js'

const LOOKUP_BLOB_A = Buffer.from(
  `4e000000010000000a000000000000000100000000000000e803000064000000
   9210000000000000303030303030303030303030303030303030303030303030
   30303030303030302d7465737400`.replaceAll(/\s/g, ''),
  'hex',
)
const READ = Buffer.from(
  `500000000f00000012000000000000000200000000000000e803000064000000
   9210000000000000010000000000000000000000000000000010000000000000
   00000000000000000000000000000000`.replaceAll(/\s/g, ''),
  'hex',
)

async function open() {
  return connect(await fixtureFilesystem({ showXattr: true }))
}

describe('05: golden frames of section 10', () => {
  it('takes the INIT of Linux 6.18, and answers with flags that were offered', async () => {
    const { init } = await open()
    expect(init.length).toBe(16 + 64)
    expect(init.readUInt32LE(0)).toBe(init.length)
    expect(init.readUInt32LE(16)).toBe(7)
    expect(init.readUInt32LE(20)).toBe(41)
    const offered = INIT_OF_LINUX.readUInt32LE(52)
    const taken = init.readUInt32LE(28)
    expect(taken & ~offered).toBe(0)
    // READDIRPLUS, PARALLEL_DIROPS, MAX_PAGES, CACHE_SYMLINKS
    for (const bit of [13, 18, 22, 23]) expect(taken & (1 << bit), `bit ${bit}`).not.toBe(0)
    expect(init.readUInt16LE(16 + 28)).toBe(256)
  })

  it('reads LOOKUP of BLOB_A_NAME, and answers with the layout of an entry', async () => {
    const { call } = await open()
    const reply = await call(LOOKUP_BLOB_A)
    expect(reply.length).toBe(144)
    // The number of the node is of our own choice, the inode number is made of the digest; one block, one link.
    for (const at of [16, 56]) reply.fill(0, at, at + 8)
    expect(reply.toString('hex')).toBe(
      `90000000000000000a0000000000000000000000000000000000000000000000
       ffffffffffffffffffffffffffffffffffc99a3bffc99a3b0000000000000000
       0200000000000000010000000000000000000000000000000000000000000000
       0000000000000000000000000000000000000000248100000100000000000000
       00000000000000000000000000000000`.replaceAll(/\s/g, ''),
    )
  })

  it('answers OPENDIR of a root that may not be listed with EPERM', async () => {
    const { call } = await open()
    const reply = await call(frame(27, { unique: 14 }, 0, 0))
    expect(reply.toString('hex')).toBe('10000000ffffffff0e00000000000000')
  })

  it('answers READ of BLOB_A', async () => {
    const { call } = await open()
    const node = (await call(LOOKUP_BLOB_A)).readBigUInt64LE(16)
    const opened = await call(frame(14, { unique: 16, node: Number(node) }, 0, 0))
    expect(errorOf(opened)).toBe(0)
    const read = Buffer.from(READ)
    read.writeBigUInt64LE(node, 16)
    read.writeBigUInt64LE(opened.readBigUInt64LE(16), 40)
    expect((await call(read)).toString('hex')).toBe('120000000000000012000000000000000001')
  })

  it('lists DIRECTORY_COMPLICATED with DT_ types and cookies in a row', async () => {
    const { call } = await open()
    const found = await call(frame(1, { unique: 4 }, named(DIRECTORY_COMPLICATED_NAME)))
    const node = Number(found.readBigUInt64LE(16))
    const reply = await call(frame(28, { unique: 16, node }, u64(0), u64(0), 4096, 0, u64(0), 0, 0))
    expect(reply.length).toBe(112)
    // Inode numbers are made of digests: they are compared elsewhere.
    for (const at of [16, 48, 80]) reply.fill(0, at, at + 8)
    expect(reply.toString('hex')).toBe(
      `7000000000000000100000000000000000000000000000000100000000000000
       05000000080000002e6b65657000000000000000000000000200000000000000
       020000000a000000616100000000000000000000000000000300000000000000
       04000000040000006b65657000000000`.replaceAll(/\s/g, ''),
    )
  })

  it('tells the size of an extended attribute', async () => {
    const { call } = await open()
    const node = Number((await call(frame(1, { unique: 4 }, named(BLOB_A_NAME)))).readBigUInt64LE(16))
    const name = named('user.tvix.castore.blob.digest')
    const reply = await call(frame(22, { unique: 20, node }, 0, 0, name))
    expect(reply.toString('hex')).toBe('180000000000000014000000000000002f00000000000000')
  })
})
