import { afterEach, beforeEach } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'

/** How the suite gets an implementation to test. */
export interface PathInfoServiceFixture<S extends PathInfoService> {
  /** Makes a new, empty instance; called before each case. */
  create(): Promise<S> | S
  /** Lets go of an instance; called after each case. Default: the instance's `close`, if it has one. */
  dispose?(service: NoInfer<S>): Promise<void> | void
}

/** Makes an instance for each case, and gives a function that returns the current one. */
export function usePathInfos<S extends PathInfoService>(fixture: PathInfoServiceFixture<S>): () => S {
  let service: S | undefined
  beforeEach(async () => {
    service = await fixture.create()
  })
  afterEach(async () => {
    const done = service
    service = undefined
    if (done === undefined) return
    if (fixture.dispose) await fixture.dispose(done)
    else await done.close?.()
  })
  return () => {
    if (service === undefined) throw new Error('no service: expected to be called within a case')
    return service
  }
}

/** All path infos of a service, or of a page. */
export async function listed(
  service: PathInfoService,
  options: Parameters<PathInfoService['list']>[0] = {},
): Promise<Awaited<ReturnType<PathInfoService['put']>>[]> {
  const infos = []
  for await (const info of service.list(options)) infos.push(info)
  return infos
}
