import { B3Digest } from '@neve/castore-model'
import { BlobCursor, blobStream, ChunkedBlobReader, type ChunkMeta, ChunkTable } from '@neve/castore-services'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const CONTENT = Uint8Array.from({ length: 16 }, (_, index) => index)
const BLOB = B3Digest.of(CONTENT)
/** The five-chunk blob of spec 02 section 17.1; digests computed independently. */
const PIECES: readonly (readonly [Uint8Array, string])[] = [
  [CONTENT.subarray(0, 2), '7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63'],
  [CONTENT.subarray(2, 6), '024a7fdb2a86c4eae9600a1cfbfd4487ddc15c0a8fa59abfebd6f92bd0031fe5'],
  [CONTENT.subarray(6, 7), '1c310b6bdadd69991cd4e5dbef96c2638536c32b534e3ed64785846bfcebd206'],
  [CONTENT.subarray(7, 9), 'd241b5ab32d2206564b51c8ec05944f6af6d7622c2f607f34c0622223a2b3cd7'],
  [CONTENT.subarray(9, 16), '465ded54852258aadefafc109bac1cb1c1275ad9ac15af4fe9996dff9473f50e'],
]
const CHUNKS: readonly ChunkMeta[] = PIECES.map(([bytes, hex]) => ({
  digest: B3Digest.parse(hex),
  size: BigInt(bytes.length),
}))

interface Setup {
  readonly pieces?: ReadonlyMap<string, Uint8Array>
  readonly chunks?: readonly ChunkMeta[]
  readonly digest?: B3Digest
  readonly cachedChunks?: number
  readonly concurrency?: number
}

function stored(count = PIECES.length): Map<string, Uint8Array> {
  return new Map(PIECES.slice(0, count).map(([bytes, hex]) => [B3Digest.parse(hex).key, bytes]))
}

function setUp({ pieces = stored(), chunks = CHUNKS, digest = BLOB, ...options }: Setup = {}) {
  const fetched: number[] = []
  const fetch = async (chunk: ChunkMeta) => {
    fetched.push(chunks.findIndex((one) => one.digest.equals(chunk.digest)))
    return pieces.get(chunk.digest.key)
  }
  return { reader: new ChunkedBlobReader({ digest, chunks, fetch, backend: 'test', ...options }), fetched }
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces).toString('hex')
}

describe('ChunkTable', () => {
  const table = new ChunkTable(BLOB, CHUNKS, 'test')

  it('02#6 places the chunks', () => {
    expect(table.entries.map(({ start, size }) => [start, size])).toEqual([
      [0n, 2n],
      [2n, 4n],
      [6n, 1n],
      [7n, 2n],
      [9n, 7n],
    ])
    expect(table.entries.map(({ digest }) => digest.toHex())).toEqual(PIECES.map(([, hex]) => hex))
    expect(table.size).toBe(16n)
    expect(BLOB.toHex()).toBe('a6a492965517a830cb75fdb713465aa465f2f098233896fea44c1d98268bf9e3')
  })

  it('02#7 refuses an empty list', () => {
    expect(() => new ChunkTable(BLOB, [], 'test')).toThrow(expect.objectContaining({ code: 'invalid-input' }))
  })

  it.each([
    [0n, 0],
    [1n, 0],
    [2n, 1],
    [15n, 4],
    [16n, undefined],
    [100n, undefined],
    [-1n, undefined],
  ])('02#8 finds the chunk of byte %s', (position, index) => {
    expect(table.indexFor(position)).toBe(index)
  })

  it('finds the chunk of every byte of any list', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 }), (sizes) => {
        const chunks = sizes.map((size, index) => ({
          digest: B3Digest.from(new Uint8Array(32).fill(index)),
          size: BigInt(size),
        }))
        const any = new ChunkTable(BLOB, chunks, 'test')
        const owners = sizes.flatMap((size, index) => Array<number>(size).fill(index))
        expect(owners.map((_, position) => any.indexFor(BigInt(position)))).toEqual(owners)
        expect(any.indexFor(any.size)).toBeUndefined()
      }),
    )
  })

  const chunk = (size: bigint, digest = CHUNKS[0]!.digest): ChunkMeta => ({ digest, size })
  it.each([
    ['names the blob itself', [chunk(2n), chunk(14n, BLOB)]],
    ['names only the blob itself', [chunk(16n, BLOB)]],
    ['has a chunk without bytes', [chunk(2n), chunk(0n)]],
    ['has a chunk of negative size', [chunk(2n), chunk(-1n)]],
    ['has a chunk of more than 2 GiB', [chunk(2n ** 31n)]],
  ])('refuses a list that %s', (_name, chunks) => {
    expect(() => new ChunkTable(BLOB, chunks, 'a peer')).toThrow(
      expect.objectContaining({ code: 'data-loss', digest: BLOB, backend: 'a peer' }),
    )
  })
})

describe('ChunkedBlobReader', () => {
  it('02#9 reads the whole blob', async () => {
    const { reader } = setUp()
    expect(reader.size).toBe(16n)
    expect(await collect(blobStream(reader))).toBe('000102030405060708090a0b0c0d0e0f')
    expect(Buffer.from(await reader.readAt(0n, 100)).toString('hex')).toBe('000102030405060708090a0b0c0d0e0f')
  })

  it('02#10 seeks from the end and from the position', async () => {
    const cursor = new BlobCursor(setUp().reader)
    expect(cursor.seek(0n, 'end')).toBe(16n)
    expect(await cursor.read(100)).toEqual(Uint8Array.of())
    cursor.seek(-1n, 'end')
    expect(await cursor.read(100)).toEqual(Uint8Array.of(0x0f))
    expect(cursor.seek(-3n, 'current')).toBe(13n)
    expect(await cursor.read(2)).toEqual(Uint8Array.of(0x0d, 0x0e))
  })

  it('02#11 reads what is there, and fails where a chunk is missing', async () => {
    const { reader } = setUp({ pieces: stored(2) })
    const cursor = new BlobCursor(reader)
    expect(await cursor.read(5)).toEqual(Uint8Array.of(0, 1, 2, 3, 4))
    expect(cursor.seek(2n, 'current')).toBe(7n)
    const missing = { code: 'data-loss', digest: CHUNKS[3]!.digest, backend: 'test' }
    await expect(cursor.read(100)).rejects.toMatchObject(missing)
    expect(cursor.position).toBe(7n)
    expect(cursor.seek(0n)).toBe(0n)
    expect(await cursor.read(6)).toHaveLength(6)
  })

  it('streams what comes before a missing chunk', async () => {
    const { reader } = setUp({ pieces: stored(2) })
    const pieces: Uint8Array[] = []
    const consume = async () => {
      for await (const piece of blobStream(reader)) pieces.push(piece)
    }
    await expect(consume()).rejects.toMatchObject({ code: 'data-loss', digest: CHUNKS[2]!.digest })
    expect(Buffer.concat(pieces).toString('hex')).toBe('000102030405')
  })

  it('reads any range as a byte array does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { minLength: 2, maxLength: 12 }),
        fc.array(fc.tuple(fc.nat(250), fc.nat(250)), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 0, max: 3 }),
        async (list, ranges, cachedChunks) => {
          const content = Buffer.concat(list)
          const pieces = new Map(list.map((bytes) => [B3Digest.of(bytes).key, bytes]))
          const chunks = list.map((bytes) => ({ digest: B3Digest.of(bytes), size: BigInt(bytes.length) }))
          const { reader } = setUp({ pieces, chunks, digest: B3Digest.of(content), cachedChunks })
          for (const [one, length] of ranges) {
            const offset = one % (content.length + 1)
            const expected = content.subarray(offset, offset + length).toString('hex')
            expect(Buffer.from(await reader.readAt(BigInt(offset), length)).toString('hex')).toBe(expected)
            const end = BigInt(Math.min(content.length, offset + length))
            expect(await collect(blobStream(reader, { start: BigInt(offset), end }))).toBe(expected)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('fetches a chunk once for reads of it one after the other, and for reads at the same time', async () => {
    const { reader, fetched } = setUp()
    for (let position = 9n; position < 16n; position++) await reader.readAt(position, 1)
    expect(fetched).toEqual([4])
    await Promise.all(Array.from({ length: 100 }, () => reader.readAt(2n, 4)))
    expect(fetched).toEqual([4, 1])
  })

  it('forgets the chunks that were not used for longest', async () => {
    const { reader, fetched } = setUp({ cachedChunks: 2 })
    for (const position of [0n, 2n, 0n, 6n, 0n, 2n]) await reader.readAt(position, 1)
    expect(fetched).toEqual([0, 1, 2, 1])
  })

  it('fetches as many chunks ahead of a stream as it may, and only those of the range', async () => {
    const { reader, fetched } = setUp({ concurrency: 2 })
    for await (const piece of blobStream(reader, { start: 3n, end: 9n })) {
      expect(piece).toEqual(Uint8Array.of(3, 4, 5))
      break
    }
    expect(fetched).toEqual([1, 2, 3])
  })

  it.each([
    ['is shorter than listed', Uint8Array.of(6, 7).subarray(0, 0)],
    ['is longer than listed', Uint8Array.of(6, 7)],
    ['has other bytes', Uint8Array.of(7)],
  ])('fails for a chunk that %s', async (_name, bytes) => {
    const pieces = stored().set(CHUNKS[2]!.digest.key, bytes)
    const { reader } = setUp({ pieces })
    const loss = { code: 'data-loss', digest: CHUNKS[2]!.digest }
    await expect(reader.readAt(0n, 16)).rejects.toMatchObject(loss)
    await expect(reader.readAt(6n, 1)).rejects.toMatchObject(loss)
    await expect(collect(blobStream(reader))).rejects.toMatchObject(loss)
    expect(await reader.readAt(0n, 6)).toHaveLength(6)
  })

  it('does not end a stream cleanly when good chunks make up another blob', async () => {
    const chunks = [CHUNKS[1]!, CHUNKS[0]!, ...CHUNKS.slice(2)]
    const { reader } = setUp({ chunks })
    const pieces: Uint8Array[] = []
    const consume = async () => {
      for await (const piece of blobStream(reader)) pieces.push(piece)
    }
    await expect(consume()).rejects.toMatchObject({ code: 'data-loss', digest: BLOB })
    expect(Buffer.concat(pieces).length).toBeLessThan(16)
  })

  it('tries a chunk again that could not be fetched', async () => {
    let broken = true
    const fetch = async (chunk: ChunkMeta) => {
      if (broken) throw new Error('the network is gone')
      return stored().get(chunk.digest.key)
    }
    const reader = new ChunkedBlobReader({ digest: BLOB, chunks: CHUNKS, fetch, backend: 'test' })
    await expect(reader.readAt(0n, 1)).rejects.toThrow('the network is gone')
    broken = false
    expect(await reader.readAt(0n, 1)).toEqual(Uint8Array.of(0))
  })

  it('stops a fetch that nobody waits for', async () => {
    let stopped: unknown
    const fetch = (_chunk: ChunkMeta, { signal }: { readonly signal?: AbortSignal | undefined }) =>
      new Promise<Uint8Array>((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          stopped = signal.reason
          reject(signal.reason)
        })
      })
    const reader = new ChunkedBlobReader({ digest: BLOB, chunks: CHUNKS, fetch, backend: 'test' })
    const controller = new AbortController()
    const reason = new Error('enough')
    const reading = reader.readAt(0n, 1, { signal: controller.signal })
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    expect(stopped).toBe(reason)
  })
})
