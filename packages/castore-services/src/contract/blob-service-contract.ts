import type { B3Digest } from '@neve/castore-model'
import { describe } from 'vitest'
import type { BlobService } from '../blob-service.js'
import { blobChunkCases } from './blob-chunk-cases.js'
import { blobConcurrencyCases } from './blob-concurrency-cases.js'
import { blobDamageCases } from './blob-damage-cases.js'
import { blobReadCases } from './blob-read-cases.js'
import { blobSignalCases } from './blob-signal-cases.js'
import { blobWriteCases } from './blob-write-cases.js'
import { type ServiceFixture, useService } from './service-fixture.js'

/** What {@link blobServiceContract} needs to know about an implementation. */
export interface BlobServiceContractInit<S extends BlobService> extends ServiceFixture<S> {
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
    describe('writing', () => blobWriteCases(service))
    describe('chunks', () => blobChunkCases(service, init.chunkSize))
    describe('cancelling', () => blobSignalCases(service))
    describe('a hundred at once', () => blobConcurrencyCases(service))
    const { damage } = init
    if (damage) describe('damage', () => blobDamageCases(service, (digest) => damage(service(), digest)))
  })
}
