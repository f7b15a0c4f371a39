import { B3Digest } from '@neve/castore-model'
import {
  type BlobReader,
  type BlobService,
  blobStream,
  type CallOptions,
  type ChunkMeta,
  type GetBlobOptions,
  MemoryBlobReader,
} from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { ReadonlyBlobService } from '@neve/castore-services/blob/readonly'
import { VerifyBlobService } from '@neve/castore-services/blob/verify'
import { blobServiceContract } from '@neve/castore-services/contract'
import { describe, expect, it } from 'vitest'
import {
  BLOB_B,
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
} from '../src/contract/blob-fixtures.js'
import { BlobProbe } from './blob-probe.js'
import { ChunkingBlobService } from './chunking-blob-service.js'

/** Written to behind the back of the wrapper that the contract reads through. */
class ReadThroughReadonly extends MemoryBlobService {
  readonly #readonly = new ReadonlyBlobService({
    has: (...call) => super.has(...call),
    open: (...call) => super.open(...call),
    chunks: (...call) => super.chunks(...call),
    get: (...call) => super.get(...call),
  })
  override has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#readonly.has(digest, options)
  }
  override open(digest: B3Digest, options?: CallOptions): Promise<BlobReader | undefined> {
    return this.#readonly.open(digest, options)
  }
  override chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    return this.#readonly.chunks(digest, options)
  }
  override get(digest: B3Digest, options?: GetBlobOptions): Promise<Uint8Array | undefined> {
    return this.#readonly.get(digest, options)
  }
}

blobServiceContract('readonly, for reading', { create: () => new ReadThroughReadonly() })

describe('a blob service that is read-only', () => {
  it('refuses every write, and does not let it through', async () => {
    const probe = new BlobProbe(new MemoryBlobService())
    const blobs = new ReadonlyBlobService(probe)
    const unsupported = { name: 'CastoreError', code: 'unsupported' }
    await expect(blobs.put(HELLO.content)).rejects.toMatchObject(unsupported)
    await expect(blobs.openWrite().write(HELLO.content)).rejects.toMatchObject(unsupported)
    await expect(blobs.openWrite().flush()).rejects.toMatchObject(unsupported)
    const writer = blobs.openWrite()
    await expect(writer.close()).rejects.toMatchObject(unsupported)
    await expect(writer.close()).rejects.toMatchObject(unsupported)
    await blobs.openWrite().abort()
    expect(probe.total).toBe(0)
    const reason = new Error('not wanted any more')
    const signal = AbortSignal.abort(reason)
    await expect(blobs.put(HELLO.content, { signal })).rejects.toBe(reason)
    await expect(blobs.openWrite({ signal }).close()).rejects.toBe(reason)
  })

  it('asks once for each read', async () => {
    const probe = new BlobProbe(new MemoryBlobService())
    const blobs = new ReadonlyBlobService(probe)
    await blobs.has(HELLO.digest)
    await blobs.open(HELLO.digest)
    await blobs.chunks(HELLO.digest)
    await blobs.get(HELLO.digest)
    expect(probe.calls).toEqual({ has: 1, open: 1, chunks: 1, get: 1, put: 0, openWrite: 0 })
  })
})

/** Believes whatever it stored, and hands out what `tamper` makes of it. */
class Gullible implements BlobService {
  readonly blobs = new Map<string, Uint8Array>([[B3Digest.EMPTY.key, new Uint8Array(0)]])
  readonly lists = new Map<string, readonly ChunkMeta[]>()
  readonly #writers = new MemoryBlobService()

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return this.blobs.has(digest.key)
  }
  async chunks(digest: B3Digest, options?: CallOptions) {
    return (await this.has(digest, options)) ? (this.lists.get(digest.key) ?? []) : undefined
  }
  async open(digest: B3Digest, { signal }: CallOptions = {}) {
    signal?.throwIfAborted()
    const content = this.blobs.get(digest.key)
    return content && new MemoryBlobReader(content)
  }
  async get(digest: B3Digest, { signal, maxSize = 1024 * 1024 - 1 }: GetBlobOptions = {}) {
    signal?.throwIfAborted()
    const content = this.blobs.get(digest.key)
    if (content !== undefined && content.length > maxSize)
      return this.#writers.put(content).then(() => this.#writers.get(digest, { maxSize }))
    return content
  }
  async put(content: Uint8Array, { signal }: CallOptions = {}) {
    signal?.throwIfAborted()
    const digest = B3Digest.of(content)
    this.blobs.set(digest.key, new Uint8Array(content))
    return digest
  }
  openWrite(options?: CallOptions) {
    const writer = this.#writers.openWrite(options)
    const close = writer.close.bind(writer)
    writer.close = async (call) => {
      const digest = await close(call)
      this.blobs.set(digest.key, new Uint8Array((await this.#writers.get(digest, { maxSize: 2 ** 30 }))!))
      return digest
    }
    return writer
  }
}

const gullible = new WeakMap<VerifyBlobService, Gullible>()
blobServiceContract('verify', {
  create: () => {
    const inner = new Gullible()
    const blobs = new VerifyBlobService(inner)
    gullible.set(blobs, inner)
    return blobs
  },
  damage: async (blobs, digest) => {
    const content = gullible.get(blobs)!.blobs.get(digest.key)!
    content[content.length - 1]! ^= 1
  },
})

blobServiceContract('verify, over chunks', {
  create: () => new VerifyBlobService(new ChunkingBlobService(65536)),
  chunkSize: 131072,
})

const LARGE = randomBlob(1_500_000, 42)

describe('a blob service that verifies another', () => {
  it.each([
    ['small', HELLO],
    ['large', LARGE],
    ['repeating', BLOB_B],
  ])('refuses bytes that change after a blob was opened: %s', async (name, { content, digest }) => {
    const inner = new Gullible()
    await inner.put(content)
    await using reader = (await new VerifyBlobService(inner).open(digest))!
    inner.blobs.get(digest.key)![content.length - 1]! ^= 1
    if (name === 'small') {
      expect(sameBytes(await reader.readAt(0n, 100), content)).toBe(true)
      return
    }
    await expect(reader.readAt(BigInt(content.length) - 10n, 10)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(collectBytes(blobStream(reader))).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('refuses content that is shorter, longer, or of another blob', async () => {
    const inner = new Gullible()
    const blobs = new VerifyBlobService(inner)
    const wrong = [LARGE.content.subarray(1), new Uint8Array([...HELLO.content, 0]), new Uint8Array(0)]
    for (const content of wrong) {
      inner.blobs.set(LARGE.digest.key, content)
      await expect(readBlob(blobs, LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
      inner.blobs.set(HELLO.digest.key, content.subarray(0, 100))
      await expect(blobs.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    }
  })

  it('refuses chunk lists that cannot be right, and chunks that are not', async () => {
    const inner = new Gullible()
    const blobs = new VerifyBlobService(inner)
    await inner.put(LARGE.content)
    const halves = [LARGE.content.subarray(0, 700_000), LARGE.content.subarray(700_000)]
    const list: ChunkMeta[] = []
    for (const half of halves) list.push({ digest: await inner.put(half), size: BigInt(half.length) })
    inner.lists.set(LARGE.digest.key, list)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
    expect(await blobs.chunks(LARGE.digest)).toEqual(list)
    inner.lists.set(LARGE.digest.key, list.toReversed())
    await expect(readBlob(blobs, LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    inner.lists.set(LARGE.digest.key, [list[0]!, { digest: LARGE.digest, size: 1n }])
    await expect(blobs.chunks(LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    inner.lists.set(LARGE.digest.key, list)
    inner.blobs.set(list[1]!.digest.key, new Uint8Array(800_000))
    await expect(readBlob(blobs, LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('does not believe the digest of a write', async () => {
    const inner = new Gullible()
    inner.put = async () => LARGE.digest
    const blobs = new VerifyBlobService(inner)
    await expect(blobs.put(HELLO.content)).rejects.toMatchObject({ code: 'storage' })
    inner.openWrite = (options) => {
      const writer = new MemoryBlobService().openWrite(options)
      writer.close = async () => LARGE.digest
      return writer
    }
    await using writer = blobs.openWrite()
    await writer.write(HELLO.content)
    await expect(writer.close()).rejects.toMatchObject({ code: 'storage' })
  })

  it('closes what it opens, also what it refuses', async () => {
    const inner = new Gullible()
    const probe = new BlobProbe(inner)
    const blobs = new VerifyBlobService(probe)
    await inner.put(LARGE.content)
    await inner.put(HELLO.content)
    await readBlob(blobs, LARGE.digest)
    await readBlob(blobs, HELLO.digest)
    inner.blobs.set(LARGE.digest.key, new Uint8Array(2_000_000))
    await expect(blobs.open(LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    expect(probe.openReaders).toBe(0)
  })
})
