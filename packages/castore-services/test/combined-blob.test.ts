import { B3Digest } from '@neve/castore-model'
import { blobStream } from '@neve/castore-services'
import { CombinedBlobService } from '@neve/castore-services/blob/combined'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { blobServiceContract } from '@neve/castore-services/contract'
import { describe, expect, it } from 'vitest'
import {
  BLOB_A,
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
} from '../src/contract/blob-fixtures.js'
import { BlobProbe } from './blob-probe.js'
import { ChunkingBlobService } from './chunking-blob-service.js'

blobServiceContract('combined, over memory', {
  create: () => new CombinedBlobService({ local: new MemoryBlobService(), remote: new MemoryBlobService() }),
})

const localStores = new WeakMap<CombinedBlobService, ChunkingBlobService>()
blobServiceContract('combined, over chunks', {
  create: () => {
    const local = new ChunkingBlobService(65536)
    const combined = new CombinedBlobService({ local, remote: new ChunkingBlobService(32768) })
    localStores.set(combined, local)
    return combined
  },
  chunkSize: 131072,
  damage: (combined, digest) => localStores.get(combined)!.damage(digest),
})

function fixture() {
  const localStore = new ChunkingBlobService(65536)
  const remoteStore = new ChunkingBlobService(65536)
  const local = new BlobProbe(localStore)
  const remote = new BlobProbe(remoteStore)
  return { localStore, remoteStore, local, remote, combined: new CombinedBlobService({ local, remote }) }
}

const LARGE = randomBlob(1_000_000, 40)

describe('a local blob service in front of a remote one', () => {
  it('02#30 never calls the remote one for what is local', async () => {
    const { combined, remote } = fixture()
    for (const { content, digest } of [HELLO, LARGE]) {
      await combined.put(content)
      expect(await combined.has(digest)).toBe(true)
      expect(await combined.chunks(digest)).toBeDefined()
      expect(sameBytes(await combined.get(digest), content)).toBe(true)
      expect(sameBytes(await readBlob(combined, digest), content)).toBe(true)
    }
    expect(remote.total).toBe(0)
  })

  it('02#30 writes to the local one only', async () => {
    const { combined, localStore, remoteStore, local, remote } = fixture()
    await combined.put(HELLO.content)
    await using writer = combined.openWrite()
    await writer.write(LARGE.content)
    await writer.close()
    expect(local.calls).toMatchObject({ put: 1, openWrite: 1 })
    expect(remote.total).toBe(0)
    expect(await localStore.has(LARGE.digest)).toBe(true)
    expect(await remoteStore.has(LARGE.digest)).toBe(false)
  })

  it('reads what only the remote one has, and keeps nothing of it', async () => {
    const { combined, localStore, remoteStore, remote } = fixture()
    for (const { content, digest } of [HELLO, LARGE]) {
      await remoteStore.put(content)
      expect(await combined.has(digest)).toBe(true)
      expect(sameBytes(await combined.get(digest), content)).toBe(true)
      expect(sameBytes(await readBlob(combined, digest), content)).toBe(true)
      expect(await localStore.has(digest)).toBe(false)
    }
    expect(remote.calls).toMatchObject({ has: 2, put: 0, openWrite: 0 })
  })

  it('answers for what neither has', async () => {
    const { combined, local, remote } = fixture()
    expect(await combined.has(HELLO.digest)).toBe(false)
    expect(await combined.chunks(HELLO.digest)).toBeUndefined()
    expect(await combined.open(HELLO.digest)).toBeUndefined()
    expect(await combined.get(HELLO.digest)).toBeUndefined()
    expect(local.calls).toMatchObject({ has: 1, get: 1 })
    expect(remote.calls).toMatchObject({ has: 1, get: 1 })
  })

  it('gives the chunks of the remote one (02 weakness 15)', async () => {
    const { combined, remoteStore } = fixture()
    await remoteStore.put(LARGE.content)
    const chunks = await combined.chunks(LARGE.digest)
    expect(chunks?.length).toBeGreaterThan(1)
    expect(chunks).toEqual(await remoteStore.chunks(LARGE.digest))
  })

  it('02#30 reads a remote chunk list with local chunks where there are', async () => {
    const { combined, localStore, remoteStore, remote } = fixture()
    await remoteStore.put(LARGE.content)
    const chunks = (await remoteStore.chunks(LARGE.digest))!
    const half = chunks.filter((_chunk, index) => index % 2 === 0)
    for (const { digest } of half) await localStore.put(remoteStore.pieces.get(digest.key)!)
    expect(sameBytes(await readBlob(combined, LARGE.digest), LARGE.content)).toBe(true)
    expect(remote.calls).toMatchObject({ get: chunks.length - half.length, chunks: 1, open: 0 })
  })

  it('falls back to the remote one for chunks that the local one lacks (02 weakness 16)', async () => {
    const { combined, localStore, remoteStore, remote } = fixture()
    await localStore.put(LARGE.content)
    await remoteStore.put(LARGE.content)
    const chunks = (await localStore.chunks(LARGE.digest))!
    localStore.pieces.delete(chunks[1]!.digest.key)
    localStore.pieces.delete(chunks[3]!.digest.key)
    expect(sameBytes(await readBlob(combined, LARGE.digest), LARGE.content)).toBe(true)
    expect(remote.calls).toMatchObject({ get: 2 })
    expect(sameBytes(await combined.get(LARGE.digest), LARGE.content)).toBe(true)
    expect(remote.calls).toMatchObject({ get: 4, chunks: 0, open: 0 })
  })

  it('02#30 does not mask trouble of the local one', async () => {
    const { combined, local, remoteStore, remote } = fixture()
    await remoteStore.put(HELLO.content)
    local.fail('storage')
    const trouble = { code: 'storage' }
    await expect(combined.has(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(combined.chunks(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(combined.open(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(combined.get(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(combined.put(HELLO.content)).rejects.toMatchObject(trouble)
    expect(remote.total).toBe(0)
  })

  it('does not mask damage of the local one either', async () => {
    const { combined, localStore, remoteStore, remote } = fixture()
    await localStore.put(LARGE.content)
    await remoteStore.put(LARGE.content)
    await localStore.damage(LARGE.digest)
    await expect(readBlob(combined, LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(combined.get(LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    expect(remote.total).toBe(0)
  })

  it.each(['has', 'chunks', 'open', 'get'] as const)(
    'passes on trouble of the remote one: %s',
    async (call) => {
      const { combined, remote } = fixture()
      remote.fail('unavailable')
      await expect(combined[call](HELLO.digest)).rejects.toMatchObject({ code: 'unavailable' })
    },
  )

  it('takes a list of one chunk for a blob in one piece (02 weakness 2)', async () => {
    const { combined, remoteStore } = fixture()
    await remoteStore.put(BLOB_A.content)
    // A list that names the blob itself made the reference recurse without end.
    remoteStore.lists.set(BLOB_A.digest.key, [{ digest: BLOB_A.digest, size: 2n }])
    expect(await combined.chunks(BLOB_A.digest)).toEqual([])
    remoteStore.lists.set(HELLO.digest.key, [
      { digest: HELLO.digest, size: 1n },
      { digest: BLOB_A.digest, size: 2n },
    ])
    await expect(combined.open(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('refuses a remote list whose chunks do not make up the blob, or have other sizes', async () => {
    const { combined, remoteStore } = fixture()
    await remoteStore.put(LARGE.content)
    const chunks = (await remoteStore.chunks(LARGE.digest))!
    remoteStore.lists.set(LARGE.digest.key, chunks.toReversed())
    await using reader = (await combined.open(LARGE.digest))!
    await expect(collectBytes(blobStream(reader))).rejects.toMatchObject({ code: 'data-loss' })
    remoteStore.lists.set(
      LARGE.digest.key,
      chunks.map(({ digest, size }) => ({ digest, size: size - 1n })),
    )
    await using lying = (await combined.open(LARGE.digest))!
    await expect(lying.readAt(0n, 10)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('closes every reader it opened', async () => {
    const { combined, remoteStore, local, remote } = fixture()
    await combined.put(HELLO.content)
    await remoteStore.put(BLOB_A.content)
    for (const digest of [HELLO.digest, BLOB_A.digest, B3Digest.EMPTY]) await readBlob(combined, digest)
    expect([local.openReaders, remote.openReaders, local.openWriters]).toEqual([0, 0, 0])
  })
})
