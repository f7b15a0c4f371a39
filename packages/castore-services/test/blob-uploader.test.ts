import { B3Digest, Path } from '@neve/castore-model'
import type { BlobService } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { ConcurrentBlobUploader } from '@neve/castore-services/ingest'
import { beforeEach, describe, expect, it } from 'vitest'
import { randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { type Deferred, deferred, settled } from './deferred.js'

const MIB = 1024 * 1024
const PATH = Path.parse('a/file')

async function* inPieces(content: Uint8Array, size = 65536) {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size)
}

/** A memory service whose calls are counted, and held or failed when the test says. */
class WatchedBlobs implements Pick<BlobService, 'has' | 'put' | 'openWrite'> {
  readonly memory = new MemoryBlobService()
  readonly calls = { has: 0, put: 0, openWrite: 0 }
  readonly gates: Deferred<void>[] = []
  held = false
  failure: { readonly at: 'has' | 'put' | 'close'; readonly error: Error } | undefined
  running = 0
  most = 0

  async has(...args: Parameters<BlobService['has']>): Promise<boolean> {
    this.calls.has += 1
    this.#failAt('has')
    return this.memory.has(...args)
  }

  async put(content: Uint8Array, options: Parameters<BlobService['put']>[1] = {}): Promise<B3Digest> {
    this.calls.put += 1
    this.running += 1
    this.most = Math.max(this.most, this.running)
    try {
      if (this.held) {
        const gate = deferred<void>()
        this.gates.push(gate)
        options.signal?.addEventListener('abort', () => gate.reject(options.signal?.reason))
        await gate.promise
      }
      this.#failAt('put')
      return await this.memory.put(content, options)
    } finally {
      this.running -= 1
    }
  }

  openWrite(...args: Parameters<BlobService['openWrite']>): ReturnType<BlobService['openWrite']> {
    this.calls.openWrite += 1
    const writer = this.memory.openWrite(...args)
    if (this.failure?.at === 'close') writer.close = () => Promise.reject(this.failure?.error)
    return writer
  }

  #failAt(step: 'has' | 'put'): void {
    if (this.failure?.at === step) throw this.failure.error
  }
}

describe('ConcurrentBlobUploader', () => {
  let blobs: WatchedBlobs

  beforeEach(() => {
    blobs = new WatchedBlobs()
  })

  it.each([
    ['nothing', 0],
    ['one byte', 1],
    ['one byte less than 1 MiB', MIB - 1],
    ['1 MiB', MIB],
    ['3 MiB', 3 * MIB],
  ])('uploads %s', async (_name, length) => {
    const { content, digest } = randomBlob(length, length)
    const uploader = new ConcurrentBlobUploader(blobs)
    expect(String(await uploader.upload(PATH, BigInt(length), inPieces(content)))).toBe(digest.toString())
    await uploader.join()
    expect(sameBytes(await blobs.memory.get(digest, { maxSize: length }), content)).toBe(true)
  })

  it('streams large blobs only, and asks before it puts small ones', async () => {
    const [small, large] = [randomBlob(MIB - 1, 1), randomBlob(MIB, 2)]
    const uploader = new ConcurrentBlobUploader(blobs)
    await uploader.upload(PATH, BigInt(MIB), inPieces(large.content))
    expect(await blobs.memory.has(large.digest)).toBe(true)
    await uploader.upload(PATH, BigInt(MIB - 1), inPieces(small.content))
    await uploader.join()
    expect(blobs.calls).toEqual({ has: 1, put: 1, openWrite: 1 })
  })

  it('does not put what is there, and not twice what is under way', async () => {
    const [there, twice] = [randomBlob(100, 3), randomBlob(100, 4)]
    await blobs.memory.put(there.content)
    blobs.held = true
    const uploader = new ConcurrentBlobUploader(blobs)
    await uploader.upload(PATH, 100n, inPieces(there.content))
    for (let round = 0; round < 5; round++) await uploader.upload(PATH, 100n, inPieces(twice.content))
    await settled()
    expect(blobs.calls.put).toBe(1)
    blobs.gates[0]?.resolve()
    await uploader.join()
    expect(await blobs.memory.has(twice.digest)).toBe(true)
  })

  it('returns before a small blob is stored, and joins after', async () => {
    blobs.held = true
    const { content, digest } = randomBlob(10, 5)
    const uploader = new ConcurrentBlobUploader(blobs)
    expect((await uploader.upload(PATH, 10n, inPieces(content))).equals(digest)).toBe(true)
    let joined = false
    const joining = uploader.join().then(() => {
      joined = true
    })
    await settled()
    expect(joined).toBe(false)
    blobs.gates[0]?.resolve()
    await joining
    expect(await blobs.memory.has(digest)).toBe(true)
    await expect(uploader.upload(PATH, 10n, inPieces(content))).rejects.toMatchObject({ code: 'closed' })
  })

  it.each([
    ['bytes', { bufferSize: 250 }, 2],
    ['tasks', { maxTasks: 3 }, 3],
  ])('does not read on when there is no room for more %s', async (_name, options, room) => {
    blobs.held = true
    const uploader = new ConcurrentBlobUploader(blobs, options)
    let read = 0
    const uploads = Array.from({ length: 10 }, async (_, index) => {
      const { content } = randomBlob(100, 100 + index)
      async function* source() {
        read += 1
        yield content
      }
      await uploader.upload(PATH, 100n, source())
    })
    await settled()
    expect(read).toBe(room)
    blobs.held = false
    for (const gate of blobs.gates) gate.resolve()
    await Promise.all(uploads)
    await uploader.join()
    expect(read).toBe(10)
    expect(blobs.most).toBe(room)
  })

  it.each([
    ['a small blob is too short', 100, 99],
    ['a small blob is too long', 100, 101],
    ['an empty blob has bytes', 0, 1],
    ['a large blob is too short', MIB, MIB - 1],
    ['a large blob is too long', MIB, MIB + 1],
  ])('refuses when %s, and stores nothing', async (_name, expected, actual) => {
    const { content, digest } = randomBlob(actual, 6)
    const uploader = new ConcurrentBlobUploader(blobs)
    const failed = { code: 'unexpected-size', path: PATH, expected: BigInt(expected) }
    await expect(uploader.upload(PATH, BigInt(expected), inPieces(content))).rejects.toMatchObject(failed)
    await expect(uploader.join()).rejects.toMatchObject(failed)
    expect(await blobs.memory.has(digest)).toBe(false)
    expect(await blobs.memory.has(B3Digest.of(content.subarray(0, expected)))).toBe(expected === 0)
  })

  it('reads no more of an endless source than was announced', async () => {
    let given = 0
    let closed = false
    async function* endless() {
      try {
        for (;;) {
          given += 1
          yield new Uint8Array(100)
        }
      } finally {
        closed = true
      }
    }
    const uploader = new ConcurrentBlobUploader(blobs)
    await expect(uploader.upload(PATH, 1000n, endless())).rejects.toMatchObject({ code: 'unexpected-size' })
    expect(given).toBe(11)
    expect(closed).toBe(true)
  })

  it.each([
    ['blob-check', 'has', 10],
    ['blob-write', 'put', 10],
    ['blob-finalize', 'close', MIB],
  ] as const)('reports a failing store as %s, to everybody after', async (code, at, size) => {
    const error = new Error('the store is on fire')
    blobs.failure = { at, error }
    const uploader = new ConcurrentBlobUploader(blobs)
    const failed = { code, path: PATH, cause: error }
    const uploading = uploader.upload(PATH, BigInt(size), inPieces(randomBlob(size, 7).content))
    if (at === 'close') await expect(uploading).rejects.toMatchObject(failed)
    else await uploading
    await settled()
    await expect(uploader.upload(PATH, 1n, inPieces(Uint8Array.of(1)))).rejects.toMatchObject(failed)
    await expect(uploader.join()).rejects.toMatchObject(failed)
  })

  it.each([10, MIB])('reports a failing source of %d bytes as blob-read', async (size) => {
    const error = new Error('the archive is cut')
    async function* failing() {
      yield new Uint8Array(1)
      throw error
    }
    const uploader = new ConcurrentBlobUploader(blobs)
    const failed = { code: 'blob-read', path: PATH, cause: error }
    await expect(uploader.upload(PATH, BigInt(size), failing())).rejects.toMatchObject(failed)
    expect(await blobs.memory.has(B3Digest.of(new Uint8Array(1)))).toBe(false)
  })

  it('does not believe a store that gives another digest', async () => {
    const lying = {
      has: async () => false,
      put: async () => B3Digest.EMPTY,
      openWrite: () => blobs.openWrite(),
    }
    const uploader = new ConcurrentBlobUploader(lying)
    const { content, digest } = randomBlob(10, 8)
    await uploader.upload(PATH, 10n, inPieces(content))
    const mismatch = { code: 'blob-digest-mismatch', expected: digest, actual: B3Digest.EMPTY }
    await expect(uploader.join()).rejects.toMatchObject(mismatch)
  })

  it('stops everything that runs, and waits for it, when it is cancelled', async () => {
    blobs.held = true
    const controller = new AbortController()
    const uploader = new ConcurrentBlobUploader(blobs, { signal: controller.signal })
    for (let index = 0; index < 5; index++)
      await uploader.upload(PATH, 10n, inPieces(randomBlob(10, index).content))
    await settled()
    expect(blobs.running).toBe(5)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(uploader.upload(PATH, 10n, inPieces(new Uint8Array(10)))).rejects.toBe(reason)
    await expect(uploader.join()).rejects.toBe(reason)
    expect(blobs.running).toBe(0)
  })

  it.each([10, MIB])('does not wait for a stuck source of %d bytes when it is cancelled', async (size) => {
    async function* stuck() {
      yield new Uint8Array(1)
      await new Promise(() => {})
    }
    const controller = new AbortController()
    const uploader = new ConcurrentBlobUploader(blobs)
    const uploading = uploader.upload(PATH, BigInt(size), stuck(), { signal: controller.signal })
    await settled()
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(uploading).rejects.toBe(reason)
  })

  it('stops everything when it is disposed of before it was joined', async () => {
    blobs.held = true
    {
      await using uploader = new ConcurrentBlobUploader(blobs)
      await uploader.upload(PATH, 10n, inPieces(randomBlob(10, 9).content))
      await settled()
      expect(blobs.running).toBe(1)
    }
    expect(blobs.running).toBe(0)
    expect(await blobs.memory.has(randomBlob(10, 9).digest)).toBe(false)
  })
})
