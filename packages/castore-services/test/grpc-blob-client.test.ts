import { status } from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import { BlobCursor, blobStream, type CastoreError } from '@neve/castore-services'
import { GrpcBlobService, type GrpcChannelOptions, openGrpcChannel } from '@neve/castore-services/grpc'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_B, collectBytes, HELLO, randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { type Generation, hex, type Message, type PeerInit, refuse, startPeer } from './grpc-peer.js'

const GENERATIONS: readonly Generation[] = ['snix', 'tvix']
const LARGE = randomBlob(10 * 1024 * 1024 + 3, 21)

/** Our client, connected to a stranger's server. */
async function connected(init: Partial<PeerInit>, options?: GrpcChannelOptions) {
  const peer = await startPeer({ generation: 'snix', ...init })
  const channel = await openGrpcChannel(peer.url, options)
  const close = async () => {
    await channel.close()
    await peer.close()
  }
  return { peer, channel, blobs: new GrpcBlobService(channel), [Symbol.asyncDispose]: close }
}

function holding(...contents: readonly Uint8Array[]): Map<string, Uint8Array> {
  return new Map(contents.map((content) => [B3Digest.of(content).toHex(), content]))
}

/** The content cut every so many bytes: what Stat tells, and the chunks as blobs. */
function cut(content: Uint8Array, length: number) {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < content.length; at += length) pieces.push(content.subarray(at, at + length))
  return {
    pieces,
    list: pieces.map((piece) => ({ digest: B3Digest.of(piece).bytes, size: piece.length })),
  }
}

describe.each(GENERATIONS)('a client of blobs, with a server of another make: %s', (generation) => {
  it('reads what is there, and finds out what is not', async () => {
    await using setup = await connected({ generation, blobs: holding(HELLO.content, BLOB_B.content) })
    const { blobs } = setup
    expect(await blobs.has(HELLO.digest)).toBe(true)
    expect(await blobs.has(BLOB_A.digest)).toBe(false)
    expect(await blobs.chunks(HELLO.digest)).toEqual([])
    expect(await blobs.chunks(BLOB_A.digest)).toBeUndefined()
    expect(sameBytes(await blobs.get(BLOB_B.digest), BLOB_B.content)).toBe(true)
    expect(await blobs.get(BLOB_A.digest)).toBeUndefined()
    expect(await blobs.open(BLOB_A.digest)).toBeUndefined()
    await using reader = await blobs.open(BLOB_B.digest)
    const cursor = new BlobCursor(reader!)
    cursor.seek(-3n, 'end')
    expect(await cursor.read(10)).toEqual(BLOB_B.content.subarray(-3))
  })

  it('stores: small and large blobs, whole and bit by bit', async () => {
    const stored = new Map<string, Uint8Array>()
    await using setup = await connected({ generation, blobs: stored })
    expect((await setup.blobs.put(HELLO.content)).equals(HELLO.digest)).toBe(true)
    await using writer = setup.blobs.openWrite()
    for (let at = 0; at < LARGE.content.length; at += 700_001) {
      await writer.write(LARGE.content.subarray(at, at + 700_001))
    }
    expect((await writer.close()).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(stored.get(HELLO.digest.toHex()), HELLO.content)).toBe(true)
    expect(sameBytes(stored.get(LARGE.digest.toHex()), LARGE.content)).toBe(true)
  })

  it('02#28 stores the empty blob with a stream of nothing', async () => {
    await using setup = await connected({ generation })
    expect((await setup.blobs.put(new Uint8Array(0))).equals(B3Digest.EMPTY)).toBe(true)
    expect((await setup.blobs.openWrite().close()).equals(B3Digest.EMPTY)).toBe(true)
  })

  it('asks once under the name that is not there, and never again', async () => {
    await using setup = await connected({ generation, blobs: holding(HELLO.content) })
    for (let round = 0; round < 3; round++) await setup.blobs.get(HELLO.digest)
    await setup.blobs.has(HELLO.digest)
    expect(setup.channel.generation('castore.v1.BlobService')).toBe(generation)
    const { Read, Stat } = {
      Read: `${generation}.castore.v1.BlobService/Read`,
      Stat: `${generation}.castore.v1.BlobService/Stat`,
    }
    expect(setup.peer.calls).toEqual([Read, Read, Read, Stat])
  })
})

describe('a client of blobs', () => {
  it('gets a small blob in one round trip, and asks for its existence in one', async () => {
    await using setup = await connected({ blobs: holding(HELLO.content) })
    await setup.blobs.get(HELLO.digest)
    expect(setup.peer.calls).toHaveLength(1)
    await setup.blobs.has(HELLO.digest)
    expect(setup.peer.calls).toHaveLength(2)
    await using reader = await setup.blobs.open(HELLO.digest, { sizeHint: BigInt(HELLO.content.length) })
    expect(reader?.size).toBe(BigInt(HELLO.content.length))
    expect(setup.peer.calls).toHaveLength(3)
  })

  it('is not misled by a size hint that is wrong', async () => {
    await using setup = await connected({ blobs: holding(LARGE.content, HELLO.content) })
    await using small = await setup.blobs.open(HELLO.digest, { sizeHint: 10_000_000n })
    await using large = await setup.blobs.open(LARGE.digest, { sizeHint: 12n })
    expect(sameBytes(await collectBytes(blobStream(small!)), HELLO.content)).toBe(true)
    expect(sameBytes(await collectBytes(blobStream(large!)), LARGE.content)).toBe(true)
  })

  it('reads by the chunk, without asking about chunks', async () => {
    const { pieces, list } = cut(BLOB_B.content, 100_000)
    await using setup = await connected({
      blobs: holding(BLOB_B.content, ...pieces),
      chunks: new Map([[BLOB_B.digest.toHex(), list]]),
    })
    await using reader = await setup.blobs.open(BLOB_B.digest)
    expect(await reader!.readAt(150_000n, 10)).toEqual(BLOB_B.content.subarray(150_000, 150_010))
    expect(setup.peer.calls.map((call) => call.split('/')[1])).toEqual(['Stat', 'Read'])
    expect(sameBytes(await collectBytes(blobStream(reader!)), BLOB_B.content)).toBe(true)
    expect(setup.peer.calls.filter((call) => call.endsWith('Stat'))).toHaveLength(1)
    await expect(setup.blobs.get(BLOB_B.digest, { maxSize: 1000 })).rejects.toMatchObject({
      code: 'too-large',
      size: 1_044_480n,
      limit: 1000,
    })
  })

  it('takes a list of one for no list', async () => {
    const list = [{ digest: HELLO.digest.bytes, size: HELLO.content.length }]
    await using setup = await connected({
      blobs: holding(HELLO.content),
      chunks: new Map([[HELLO.digest.toHex(), list]]),
    })
    expect(await setup.blobs.chunks(HELLO.digest)).toEqual([])
    await using reader = await setup.blobs.open(HELLO.digest)
    expect(await reader!.readAt(0n, 5)).toEqual(HELLO.content.subarray(0, 5))
  })

  it('reads a large blob without chunks, anywhere and at once', async () => {
    await using setup = await connected({ blobs: holding(LARGE.content) })
    await using reader = await setup.blobs.open(LARGE.digest)
    expect(reader!.size).toBe(BigInt(LARGE.content.length))
    const offsets = [0, 1, 5_000_000, LARGE.content.length - 3, LARGE.content.length]
    const found = await Promise.all(offsets.map((offset) => reader!.readAt(BigInt(offset), 10)))
    for (const [index, offset] of offsets.entries()) {
      expect(sameBytes(found[index], LARGE.content.subarray(offset, offset + 10))).toBe(true)
    }
    await reader!.close()
    await expect(reader!.readAt(0n, 1)).rejects.toMatchObject({ code: 'closed' })
  })

  it.each([
    ['get', (blobs: GrpcBlobService, digest: B3Digest) => blobs.get(digest, { maxSize: 20_000_000 })],
    ['open', (blobs: GrpcBlobService, digest: B3Digest) => blobs.open(digest)],
  ])('refuses wrong bytes for a digest: %s', async (_name, call) => {
    const wrong = new Map([
      [HELLO.digest.toHex(), BLOB_A.content],
      [LARGE.digest.toHex(), LARGE.content.subarray(1)],
    ])
    await using setup = await connected({ blobs: wrong })
    for (const { digest } of [HELLO, LARGE]) {
      await expect(call(setup.blobs, digest)).rejects.toMatchObject({ code: 'data-loss', digest })
    }
  })

  it.each([
    ['is missing', (pieces: Uint8Array[]) => [pieces[0]!]],
    ['is shorter', (pieces: Uint8Array[]) => [pieces[0]!, pieces[1]!.subarray(1)]],
    ['is longer', (pieces: Uint8Array[]) => [pieces[0]!, Buffer.concat([pieces[1]!, pieces[1]!])]],
    ['is another', (pieces: Uint8Array[]) => [pieces[0]!, pieces[0]!]],
  ])('reads up to a chunk that %s, and no further', async (_name, damaged) => {
    const { pieces, list } = cut(BLOB_B.content.subarray(0, 200_000), 100_000)
    const digest = B3Digest.of(BLOB_B.content.subarray(0, 200_000))
    const stored = new Map([[digest.toHex(), BLOB_B.content]])
    for (const [index, piece] of damaged(pieces).entries()) stored.set(hex(list[index]!.digest), piece)
    await using setup = await connected({ blobs: stored, chunks: new Map([[digest.toHex(), list]]) })
    await using reader = await setup.blobs.open(digest)
    expect(sameBytes(await reader!.readAt(0n, 100_000), pieces[0]!)).toBe(true)
    await expect(reader!.readAt(99_999n, 2)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('refuses a list of good chunks that make up another blob', async () => {
    const { pieces, list } = cut(BLOB_B.content, 100_000)
    await using setup = await connected({
      blobs: holding(BLOB_B.content, ...pieces),
      chunks: new Map([[BLOB_B.digest.toHex(), list.toReversed()]]),
    })
    await using reader = await setup.blobs.open(BLOB_B.digest)
    await expect(collectBytes(blobStream(reader!))).rejects.toMatchObject({ code: 'data-loss' })
  })

  it.each<[string, Message['chunks'], string]>([
    [
      'a digest of 31 bytes',
      [
        { digest: HELLO.digest.bytes, size: 1 },
        { digest: new Uint8Array(31), size: 1 },
      ],
      'invalid digest length 31 for chunk #1',
    ],
    ['no digest', [{ digest: new Uint8Array(0), size: 1 }], 'invalid digest length 0 for chunk #0'],
    ['an empty chunk', [{ digest: HELLO.digest.bytes, size: 0 }], 'chunk #0 has size 0'],
    [
      'sizes beyond 2^64',
      [1, 2].map(() => ({ digest: HELLO.digest.bytes, size: '18446744073709551615' })),
      'sum up to',
    ],
  ])('02#29 refuses a chunk list with %s', async (_name, chunks, message) => {
    await using setup = await connected({
      methods: {
        'BlobService/Stat': (_call: unknown, answer: (error: null, value: Message) => void) =>
          answer(null, { chunks: chunks! }),
      },
    })
    const asking = setup.blobs.chunks(BLOB_A.digest)
    await expect(asking).rejects.toMatchObject({ code: 'data-loss', digest: BLOB_A.digest })
    await expect(asking).rejects.toThrow(message)
  })

  it.each([
    [0, 'invalid root digest length 0'],
    [31, 'invalid root digest length 31'],
    [32, 'got unexpected digest'],
    [33, 'invalid root digest length 33'],
  ])('02#29 refuses an answer to Put with a wrong digest of %d bytes', async (length, message) => {
    const answerPut = (
      call: { on(event: string, listener: () => void): void },
      answer: (error: null, value: Message) => void,
    ) => {
      call.on('data', () => {})
      call.on('end', () => answer(null, { digest: new Uint8Array(length) }))
    }
    await using setup = await connected({ methods: { 'BlobService/Put': answerPut } })
    await expect(setup.blobs.put(HELLO.content)).rejects.toThrow(message)
    const writer = setup.blobs.openWrite()
    await writer.write(HELLO.content)
    await expect(writer.close()).rejects.toMatchObject({ code: 'storage' })
    const large = setup.blobs.openWrite()
    await large.write(LARGE.content)
    await expect(large.close()).rejects.toThrow(message)
  })

  it.each<[keyof typeof status, CastoreError['code']]>([
    ['CANCELLED', 'unavailable'],
    ['UNKNOWN', 'storage'],
    ['INVALID_ARGUMENT', 'invalid-request'],
    ['DEADLINE_EXCEEDED', 'unavailable'],
    ['ALREADY_EXISTS', 'storage'],
    ['PERMISSION_DENIED', 'storage'],
    ['RESOURCE_EXHAUSTED', 'unavailable'],
    ['FAILED_PRECONDITION', 'invalid-request'],
    ['ABORTED', 'unavailable'],
    ['OUT_OF_RANGE', 'too-large'],
    ['UNIMPLEMENTED', 'unsupported'],
    ['INTERNAL', 'storage'],
    ['UNAVAILABLE', 'unavailable'],
    ['DATA_LOSS', 'data-loss'],
    ['UNAUTHENTICATED', 'storage'],
  ])('tells a refusal as what it is: %s is %s', async (name, code) => {
    const refusing = (_call: unknown, answer: (error: object) => void) =>
      answer(refuse(status[name], 'because'))
    const breaking = (call: { emit(event: string, error: object): void }) =>
      call.emit('error', refuse(status[name], 'because'))
    await using setup = await connected({
      methods: { 'BlobService/Stat': refusing, 'BlobService/Put': refusing, 'BlobService/Read': breaking },
    })
    const calls = [
      () => setup.blobs.has(HELLO.digest),
      () => setup.blobs.get(HELLO.digest),
      () => setup.blobs.put(HELLO.content),
    ]
    for (const call of calls) {
      const error = await call().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code, message: expect.stringContaining('because') })
    }
  })

  it('tries again what nobody answered, and not what was refused', async () => {
    let failures = 2
    const name = 'BlobService/Stat'
    const flaky = (_call: unknown, answer: (error: object | null, value?: object) => void) => {
      if (failures-- > 0) answer(refuse(status.UNAVAILABLE, 'busy'))
      else answer(null, {})
    }
    await using setup = await connected({ methods: { [name]: flaky } })
    expect(await setup.blobs.has(HELLO.digest)).toBe(true)
    expect(setup.peer.calls).toHaveLength(3)
    failures = 100
    await expect(setup.blobs.has(HELLO.digest)).rejects.toMatchObject({ code: 'unavailable' })
    expect(setup.peer.calls).toHaveLength(7)
  })

  it('fails when nobody is there, naming the peer', async () => {
    const { url } = await startPeer({ generation: 'snix' }).then(async (peer) => {
      await peer.close()
      return peer
    })
    await using channel = await openGrpcChannel(url)
    const asking = new GrpcBlobService(channel).has(HELLO.digest)
    await expect(asking).rejects.toMatchObject({ code: 'unavailable' })
    await expect(asking).rejects.toThrow(`${url}: BlobService/Stat: UNAVAILABLE`)
  })
})
