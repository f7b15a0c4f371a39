import { randomBytes } from 'node:crypto'
import { blake3 } from '@neve/castore-model'
import type { BlobService } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ServiceContent } from '@neve/fs-fuse'
import { array, assert, asyncProperty, nat } from 'fast-check'
import { describe, expect, it } from 'vitest'

const MIB = 1024 * 1024
const content = randomBytes(3 * MIB + 12_345)

/** An open file whose service tells what it was asked for, and may fail or never answer. */
async function opened(serve: (offset: number, length: number) => Promise<void> = async () => {}) {
  const memory = new MemoryBlobService()
  const digest = await memory.put(content)
  const asked: [number, number][] = []
  const blobs: Pick<BlobService, 'open'> = {
    async open(wanted, options) {
      const reader = (await memory.open(wanted, options))!
      return Object.assign(Object.create(reader), {
        size: reader.size,
        close: () => reader.close(),
        async readAt(offset: bigint, length: number) {
          asked.push([Number(offset), length])
          await serve(Number(offset), length)
          return reader.readAt(offset, length)
        },
      })
    },
  }
  const service = new ServiceContent(blobs, new MemoryDirectoryService())
  const file = (await service.open(digest, BigInt(content.length)))!
  const read = async (offset: number, length: number, signal?: AbortSignal) =>
    Buffer.concat((await file.readAt(offset, length, { signal })) ?? [])
  return { file, asked, read }
}

describe('a file of a service', () => {
  it('gives the right bytes, whatever is read after what', async () => {
    await assert(
      asyncProperty(array(nat(2 * MIB), { maxLength: 8 }), nat(3), async (lengths, jump) => {
        const { read } = await opened()
        let at = 0
        for (const [index, length] of lengths.entries()) {
          if (index > 0 && index === jump) at = Math.floor(at / 3)
          const bytes = await read(at, length)
          expect(bytes.equals(content.subarray(at, at + length))).toBe(true)
          at += bytes.length
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is asked for in blocks by who reads in order, one of them ahead, and each once', async () => {
    const { read, asked } = await opened()
    const hash = []
    for (let at = 0; at < content.length; at += 128 * 1024) hash.push(await read(at, 128 * 1024))
    expect(blake3.digest(Buffer.concat(hash))).toEqual(blake3.digest(content))
    expect(asked).toEqual([
      [0, 128 * 1024],
      [0, MIB],
      [MIB, MIB],
      [2 * MIB, MIB],
      [3 * MIB, 12_345],
    ])
  })

  it('is asked for no more than is wanted by who reads here and there', async () => {
    const { read, asked } = await opened()
    for (const at of [2 * MIB, 5000, MIB]) await read(at, 4096)
    expect(asked).toEqual([2 * MIB, 5000, MIB].map((at) => [at, 4096]))
  })

  it('gives what lies before damage, though it is in the same block', async () => {
    const { read } = await opened(async (offset, length) => {
      if (offset + length > 700_000) throw new Error('the content is damaged')
    })
    for (let at = 0; at < 600_000; at += 100_000) {
      expect((await read(at, 100_000)).equals(content.subarray(at, at + 100_000))).toBe(true)
    }
    await expect(read(650_000, 100_000)).rejects.toThrow('the content is damaged')
  })

  it('lets one who waits give up, and others not', async () => {
    let resolve = () => {}
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    const { read } = await opened((_, length) => (length === 4096 ? Promise.resolve() : promise))
    await read(0, 4096)
    const stop = new AbortController()
    const [gone, stays] = [read(4096, 4096, stop.signal), read(8192, 4096)]
    stop.abort(new Error('interrupted'))
    await expect(gone).rejects.toThrow('interrupted')
    resolve()
    expect((await stays).equals(content.subarray(8192, 12_288))).toBe(true)
  })
})
