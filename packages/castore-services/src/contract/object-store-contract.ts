import { describe, expect, it } from 'vitest'
import type { ObjectStore } from '../object-store/object-store.js'
import { objectConcurrencyCases } from './object-concurrency-cases.js'
import { CONTENT, KEY, listed } from './object-fixtures.js'
import { objectReadCases } from './object-read-cases.js'
import { objectSignalCases } from './object-signal-cases.js'
import { objectWriteCases } from './object-write-cases.js'
import { type ServiceFixture, useService } from './service-fixture.js'

/** What {@link objectStoreContract} needs to know about an implementation. */
export interface ObjectStoreContractInit<S extends ObjectStore> extends ServiceFixture<S> {
  /** Whether of several `putIfAbsent` at the same moment exactly one writes. Default: true */
  readonly atomicPutIfAbsent?: boolean | undefined
  /** Whether reading an object while it is replaced gives the old one or the new one, whole. Default: true */
  readonly atomicReplace?: boolean | undefined
}

/**
 * Registers, with vitest, everything that every ObjectStore has to do. Call it at the top level of a test file.
 *
 * @param name of the implementation, for the report
 */
export function objectStoreContract<S extends ObjectStore>(
  name: string,
  init: ObjectStoreContractInit<S>,
): void {
  describe(`${name}: object store contract`, () => {
    const store = useService<ObjectStore>(init as ServiceFixture<ObjectStore>)
    describe('reading', () => objectReadCases(store))
    describe('writing', () => objectWriteCases(store))
    describe('cancelling', () => objectSignalCases(store))
    describe('a hundred at once', () => {
      objectConcurrencyCases(store, {
        atomicPutIfAbsent: init.atomicPutIfAbsent ?? true,
        atomicReplace: init.atomicReplace ?? true,
      })
    })

    it('refuses everything once it is closed', async () => {
      if (store().close === undefined) return
      await store().put(KEY, CONTENT)
      await store().close?.()
      await store().close?.()
      const closed = { name: 'CastoreError', code: 'closed' }
      await expect(store().head(KEY)).rejects.toMatchObject(closed)
      await expect(store().get(KEY)).rejects.toMatchObject(closed)
      await expect(store().put(KEY, CONTENT)).rejects.toMatchObject(closed)
      await expect(store().putIfAbsent(KEY, CONTENT)).rejects.toMatchObject(closed)
      await expect(store().delete(KEY)).rejects.toMatchObject(closed)
      const replacing = store().replace?.(KEY, CONTENT, CONTENT)
      if (replacing !== undefined) await expect(replacing).rejects.toMatchObject(closed)
      await expect(listed(store(), '')).rejects.toMatchObject(closed)
    })
  })
}
