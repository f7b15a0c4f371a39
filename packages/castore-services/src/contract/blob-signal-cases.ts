import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { blobStream } from '../blob/stream.js'
import type { BlobReader, BlobService } from '../blob-service.js'
import { BLOB_A, BLOB_B, collectBytes, HELLO, randomBlob, sameBytes, writeBlob } from './blob-fixtures.js'
import { listenerCases, type SignalledCall } from './listener-cases.js'

const LARGE = randomBlob(5 * 1024 * 1024, 9)

/** Each call, cancelled before it begins. */
const CALLS: readonly (readonly [string, (service: BlobService, signal: AbortSignal) => Promise<unknown>])[] =
  [
    ['has', (service, signal) => service.has(BLOB_B.digest, { signal })],
    ['open', (service, signal) => service.open(BLOB_B.digest, { signal })],
    ['open of the empty blob', (service, signal) => service.open(B3Digest.EMPTY, { signal })],
    ['chunks', (service, signal) => service.chunks(BLOB_B.digest, { signal })],
    ['get', (service, signal) => service.get(BLOB_B.digest, { signal })],
    ['put', (service, signal) => service.put(HELLO.content, { signal })],
    ['put of a large blob', (service, signal) => service.put(LARGE.content, { signal })],
    ['openWrite, at write', (service, signal) => service.openWrite({ signal }).write(HELLO.content)],
    ['openWrite, at flush', (service, signal) => service.openWrite({ signal }).flush()],
    ['openWrite, at close', (service, signal) => service.openWrite({ signal }).close()],
    ['write', (service, signal) => service.openWrite().write(HELLO.content, { signal })],
    ['flush', (service, signal) => service.openWrite().flush({ signal })],
    ['close', (service, signal) => service.openWrite().close({ signal })],
    ['readAt', (service, signal) => withReader(service, (reader) => reader.readAt(0n, 10, { signal }))],
    [
      'blobStream',
      (service, signal) => withReader(service, (reader) => collectBytes(blobStream(reader, { signal }))),
    ],
  ]

/** Each call, run to its end. */
const WHOLE_CALLS: readonly SignalledCall<BlobService>[] = [
  ['has', (service, signal) => service.has(BLOB_B.digest, { signal })],
  ['chunks', (service, signal) => service.chunks(BLOB_B.digest, { signal })],
  ['get', (service, signal) => service.get(BLOB_B.digest, { signal })],
  ['put', (service, signal) => service.put(LARGE.content, { signal })],
  [
    'open',
    async (service, signal) => {
      await service.put(BLOB_B.content)
      const reader = await service.open(BLOB_B.digest, { signal })
      await reader?.close()
    },
  ],
  [
    'readAt',
    async (service, signal) => {
      await service.put(BLOB_B.content)
      await withReader(service, (reader) => reader.readAt(600_000n, 10, { signal }))
    },
  ],
  [
    'blobStream',
    async (service, signal) => {
      await service.put(LARGE.content)
      await using reader = await service.open(LARGE.digest)
      for await (const _piece of blobStream(reader!, { signal }));
      for await (const _piece of blobStream(reader!, { signal })) break
    },
  ],
  [
    'openWrite',
    async (service, signal) => {
      await using writer = service.openWrite({ signal })
      await writer.write(LARGE.content)
      await writer.close()
    },
  ],
  [
    'openWrite, aborted',
    async (service, signal) => {
      await using writer = service.openWrite({ signal })
      await writer.write(LARGE.content)
    },
  ],
  [
    'the calls of a writer',
    async (service, signal) => {
      await using writer = service.openWrite()
      await writer.write(HELLO.content, { signal })
      await writer.flush({ signal })
      await writer.close({ signal })
    },
  ],
]

async function withReader<T>(service: BlobService, use: (reader: BlobReader) => Promise<T>): Promise<T> {
  await using reader = await service.open(BLOB_B.digest)
  return await use(reader!)
}

/** What a signal does to each call (DESIGN decision 14). */
export function blobSignalCases(service: () => BlobService): void {
  it.each(CALLS)('rejects with the reason: %s', async (_name, call) => {
    await service().put(BLOB_B.content)
    const reason = new Error('not wanted any more')
    await expect(call(service(), AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await service().has(HELLO.digest)).toBe(false)
    expect(await service().has(LARGE.digest)).toBe(false)
    expect(sameBytes(await service().get(BLOB_B.digest), BLOB_B.content)).toBe(true)
  })

  it('ends a writer whose signal fires', async () => {
    const controller = new AbortController()
    const writer = service().openWrite({ signal: controller.signal })
    await writer.write(HELLO.content)
    const reason = new Error('not wanted any more')
    controller.abort(reason)
    await expect(writer.write(HELLO.content)).rejects.toBe(reason)
    await expect(writer.close()).rejects.toBe(reason)
    expect(await service().has(HELLO.digest)).toBe(false)
    expect((await service().put(HELLO.content)).equals(HELLO.digest)).toBe(true)
  })

  it('ends a writer with one call that is cancelled', async () => {
    const writer = service().openWrite()
    await writer.write(BLOB_A.content)
    const reason = new Error('not wanted any more')
    await expect(writer.write(BLOB_A.content, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(writer.close()).rejects.toBe(reason)
    await expect(writer.write(BLOB_A.content)).rejects.toMatchObject({ code: 'closed', cause: reason })
    expect(await service().has(BLOB_A.digest)).toBe(false)
  })

  it('does not care for a signal that fires after close', async () => {
    const controller = new AbortController()
    const writer = service().openWrite({ signal: controller.signal })
    await writer.write(HELLO.content)
    await writer.close()
    controller.abort()
    expect((await writer.close()).equals(HELLO.digest)).toBe(true)
    expect(await service().has(HELLO.digest)).toBe(true)
  })

  it('stops a stream in the middle', async () => {
    await writeBlob(service(), LARGE.content)
    await using reader = await service().open(LARGE.digest)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    let pieces = 0
    const consume = async () => {
      for await (const piece of blobStream(reader!, { signal: controller.signal })) {
        pieces += 1
        if (piece.length > 0) controller.abort(reason)
      }
    }
    // A service that has the blob in one piece has nothing left to stop.
    await consume().catch((error: unknown) => expect(error).toBe(reason))
    expect(pieces).toBe(1)
    expect(sameBytes(await reader!.readAt(0n, 100), LARGE.content.subarray(0, 100))).toBe(true)
  })

  it('leaves nothing of a blob behind that was cancelled half way', async () => {
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const putting = service().put(LARGE.content, { signal: controller.signal })
    controller.abort(reason)
    const outcome = await putting.then(
      (digest) => digest.toString(),
      (error: unknown) => error,
    )
    // It may have been too late to stop it; then the blob is whole.
    if (outcome === LARGE.digest.toString()) {
      expect(
        sameBytes(await service().get(LARGE.digest, { maxSize: LARGE.content.length }), LARGE.content),
      ).toBe(true)
    } else {
      expect(outcome).toBe(reason)
      expect(await service().has(LARGE.digest)).toBe(false)
    }
  })

  it.each(WHOLE_CALLS)('settles when the signal fires meanwhile: %s', async (_name, call) => {
    await service().put(BLOB_B.content)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const running = call(service(), controller.signal)
    controller.abort(reason)
    // It may have been too late; any other outcome is the reason.
    await running.catch((error: unknown) => expect(error).toBe(reason))
    expect((await service().put(HELLO.content)).equals(HELLO.digest)).toBe(true)
    expect(sameBytes(await service().get(BLOB_B.digest), BLOB_B.content)).toBe(true)
  })

  listenerCases(service, WHOLE_CALLS)
}
