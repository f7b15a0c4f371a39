import { describe } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'
import { concurrencyCases } from './concurrency-cases.js'
import { damageCases } from './damage-cases.js'
import { listCases } from './list-cases.js'
import { putCases } from './put-cases.js'
import { signalCases } from './signal-cases.js'
import { type PathInfoServiceFixture, usePathInfos } from './use-path-infos.js'

/** What services may do differently. */
export interface PathInfoServiceCapabilities {
  /** Whether `list` is there; else it is refused with `unsupported`. Default: true. */
  readonly list?: boolean | undefined
  /** Whether a put may overwrite; else that is refused with `unsupported`. Default: true. */
  readonly overwrite?: boolean | undefined
}

/** What {@link pathInfoServiceContract} needs to know about an implementation. */
export interface PathInfoServiceContractInit<S extends PathInfoService> extends PathInfoServiceFixture<S> {
  readonly capabilities?: PathInfoServiceCapabilities | undefined
  /**
   * Makes a stored path info wrong, behind the service's back. Then reads of it must fail, and putting it again must
   * heal it. Default: these cases are left out.
   */
  readonly damage?: ((service: NoInfer<S>, digest: Uint8Array) => Promise<void>) | undefined
}

/**
 * Registers, with vitest, everything that every PathInfoService that takes puts has to do (spec 07 section 5, DESIGN
 * decision 12). Call it at the top level of a test file.
 *
 * @param name of the implementation, for the report
 */
export function pathInfoServiceContract<S extends PathInfoService>(
  name: string,
  init: PathInfoServiceContractInit<S>,
): void {
  const { list = true, overwrite = true } = init.capabilities ?? {}
  describe(`${name}: path info service contract`, () => {
    const service = usePathInfos(init)
    describe('putting and getting', () => putCases(service, overwrite))
    describe('listing', () => listCases(service, list))
    describe('cancelling', () => signalCases(service, list))
    describe('a hundred at once', () => concurrencyCases(service))
    const { damage } = init
    if (damage) describe('damage', () => damageCases(service, list, (digest) => damage(service(), digest)))
  })
}
