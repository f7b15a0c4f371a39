import type { B3Digest } from '@neve/castore-model'
import { describe } from 'vitest'
import { blobStream } from '../blob/stream.js'
import type { BlobService } from '../blob-service.js'
import { blobChunkCases } from './blob-chunk-cases.js'
import { blobConcurrencyCases } from './blob-concurrency-cases.js'
import { blobDamageCases } from './blob-damage-cases.js'
import { collectBytes, HELLO, randomBlob, writeBlob } from './blob-fixtures.js'
import { blobReadCases } from './blob-read-cases.js'
import { blobSignalCases } from './blob-signal-cases.js'
import { blobWriteCases } from './blob-write-cases.js'
import { defaultChunkCases } from './default-chunk-cases.js'
import { leakCases } from './leak-cases.js'
import { type ServiceFixture, useService } from './service-fixture.js'

/** What services may do differently (spec 02 sections 8 and 17.3). */
export interface BlobServiceCapabilities {
  /**
   * Whether blobs are cut where the reference cuts them with its default of 256 KiB on average, so that equal chunks are
   * shared with its stores. Default: false.
   */
  readonly defaultChunks?: boolean | undefined
}

/** What {@link blobServiceContract} needs to know about an implementation. */
export interface BlobServiceContractInit<S extends BlobService> extends ServiceFixture<S> {
  readonly capabilities?: BlobServiceCapabilities | undefined
  /**
   * The most bytes that the service keeps in one piece, if it chunks: a blob of twice that must be reported in chunks.
   * Default: it may chunk or not.
   */
  readonly chunkSize?: number | undefined
  /**
   * Makes the stored bytes of a blob wrong, behind the service's back. Then reads of it must fail, and storing it again
   * must heal it. Default: these cases are left out.
   */
  readonly damage?: ((service: NoInfer<S>, digest: B3Digest) => Promise<void>) | undefined
  /**
   * Gives something that differs after anything was written: keys and times of objects, a count of writes. Then storing
   * what is there already must leave it as it was. Default: that is not looked at.
   */
  readonly footprint?: ((service: NoInfer<S>) => unknown) | undefined
}

/**
 * Registers, with vitest, everything that every BlobService has to do (spec 02 sections 2 to 4 and 18). Call it at the
 * top level of a test file.
 *
 * @param name of the implementation, for the report
 */
export function blobServiceContract<S extends BlobService>(
  name: string,
  init: BlobServiceContractInit<S>,
): void {
  describe(`${name}: blob service contract`, () => {
    const service = useService(init)
    describe('reading', () => blobReadCases(service))
    describe('writing', () => blobWriteCases(service, init.footprint && (() => init.footprint?.(service()))))
    describe('chunks', () => blobChunkCases(service, init.chunkSize))
    if (init.capabilities?.defaultChunks) describe('boundaries', () => defaultChunkCases(service))
    describe('cancelling', () => blobSignalCases(service))
    describe('a hundred at once', () => blobConcurrencyCases(service))
    describe('leaks', () => leakCases(init, useBlobs))
    const { damage } = init
    if (damage) describe('damage', () => blobDamageCases(service, (digest) => damage(service(), digest)))
  })
}

const LARGE = randomBlob(3 * 1024 * 1024, 11)

/** Every call, once; streams and writers left early too. */
async function useBlobs(blobs: BlobService): Promise<void> {
  await blobs.put(HELLO.content)
  await blobs.get(HELLO.digest)
  await writeBlob(blobs, LARGE.content, 1_000_000)
  await blobs.has(LARGE.digest)
  await blobs.chunks(LARGE.digest)
  await using reader = await blobs.open(LARGE.digest)
  await reader!.readAt(1_000_000n, 1000)
  await collectBytes(blobStream(reader!))
  for await (const _piece of blobStream(reader!)) break
  await using abandoned = blobs.openWrite()
  await abandoned.write(LARGE.content)
}
