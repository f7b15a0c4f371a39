import type { B3Digest } from '@neve/castore-model'
import { describe } from 'vitest'
import type { DirectoryService } from '../directory-service.js'
import { descendCases } from './descend-cases.js'
import { directoryClosureCases } from './directory-closure-cases.js'
import { directoryConcurrencyCases } from './directory-concurrency-cases.js'
import { directoryDamageCases } from './directory-damage-cases.js'
import { A, COMPLICATED, closureOf, upload, WITH_KEEP } from './directory-fixtures.js'
import { directoryPutterCases } from './directory-putter-cases.js'
import { directorySignalCases } from './directory-signal-cases.js'
import { directorySingleCases } from './directory-single-cases.js'
import { leakCases } from './leak-cases.js'
import { type ServiceFixture, useService } from './service-fixture.js'

/** What services may do differently (spec 03 section 11). */
export interface DirectoryServiceCapabilities {
  /** Whether `get` knows directories below the root of an upload. Default: true. */
  readonly intermediates?: boolean | undefined
  /** Whether a single `put` takes a directory with children, stored or not. Default: `accepted`. */
  readonly putWithChildren?: 'accepted' | 'refused' | undefined
  /** Whether a put out of order fails itself, and not only a later call. Default: false. */
  readonly ordersEagerly?: boolean | undefined
}

/** The capabilities with their defaults filled in. */
export type KnownDirectoryCapabilities = {
  readonly [Key in keyof DirectoryServiceCapabilities]-?: NonNullable<DirectoryServiceCapabilities[Key]>
}

/** What {@link directoryServiceContract} needs to know about an implementation. */
export interface DirectoryServiceContractInit<S extends DirectoryService> extends ServiceFixture<S> {
  readonly capabilities?: DirectoryServiceCapabilities | undefined
  /**
   * Makes a stored directory wrong, behind the service's back. Then reads of it must fail, and storing it again must
   * heal it. Default: these cases are left out.
   */
  readonly damage?: ((service: NoInfer<S>, digest: B3Digest) => Promise<void>) | undefined
}

/**
 * Registers, with vitest, everything that every DirectoryService has to do (spec 03 sections 2 and 14, T1 to T8). Call
 * it at the top level of a test file.
 *
 * @param name of the implementation, for the report
 */
export function directoryServiceContract<S extends DirectoryService>(
  name: string,
  init: DirectoryServiceContractInit<S>,
): void {
  const {
    intermediates = true,
    putWithChildren = 'accepted',
    ordersEagerly = false,
  } = init.capabilities ?? {}
  const capabilities: KnownDirectoryCapabilities = { intermediates, putWithChildren, ordersEagerly }
  describe(`${name}: directory service contract`, () => {
    const service = useService(init)
    describe('single directories', () => directorySingleCases(service, capabilities))
    describe('closures', () => directoryClosureCases(service, capabilities))
    if (intermediates) describe('paths', () => descendCases(service))
    describe('uploads', () => directoryPutterCases(service, capabilities))
    describe('cancelling', () => directorySignalCases(service))
    describe('a hundred at once', () => directoryConcurrencyCases(service))
    describe('leaks', () => leakCases(init, useDirectories))
    const { damage } = init
    if (damage) describe('damage', () => directoryDamageCases(service, (digest) => damage(service(), digest)))
  })
}

/** Every call, once. */
async function useDirectories(directories: DirectoryService): Promise<void> {
  await directories.put(WITH_KEEP)
  const root = await upload(directories, WITH_KEEP, COMPLICATED)
  await directories.get(root)
  await closureOf(directories, root)
  for await (const _directory of directories.getRecursive(root)) break
  await directories.putMultipleStart().abort()
  await using abandoned = directories.putMultipleStart()
  await abandoned.put(A)
}
