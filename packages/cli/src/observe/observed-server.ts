import { B3Digest } from '@neve/castore-model'
import {
  addHealth,
  addReflection,
  BackendHealth,
  type CastoreServerInit,
  HEALTH_SERVICE_NAME,
  loadDescriptors,
  type Probe,
  tracedCalls,
} from '@neve/castore-services/grpc/server'
import { observeService, type StoreOperation } from '@neve/castore-services/telemetry'
import { Store } from '@neve/store-pathinfo'
import { describe } from '../messages.js'
import { callLog } from './call-log.js'
import type { Logger } from './logger.js'

type Registry = Parameters<NonNullable<CastoreServerInit['extend']>>[0]

/** What {@link observeServer} needs. */
export interface ObservedServerInit {
  readonly backends: StoreBackends
  readonly log: Logger
  /** Fires when the server is about to close. */
  readonly stop: AbortSignal
}

/**
 * A store whose operations are told to OpenTelemetry, and to a listener; the same one when nobody listens. It is closed
 * with the other.
 */
export function observedStore(store: Store, onOperation?: (operation: StoreOperation) => void): Store {
  const { blobs, directories, pathInfos } = store
  const told = { onOperation }
  const observed = {
    blobs: observeService(blobs, 'blobs', ['has', 'open', 'chunks', 'get', 'put'], told),
    directories: observeService(directories, 'directories', ['get', 'put'], told),
    pathInfos: observeService(pathInfos, 'path infos', ['get', 'has', 'put'], told),
  }
  return observed.blobs === blobs ? store : new Store(observed)
}

/**
 * What operators see of a server: health that asks the backends, reflection, a line in the log for each call that fails,
 * and calls told to OpenTelemetry.
 *
 * @returns to be called when all other services have been added
 */
export async function observeServer({
  backends,
  log,
  stop,
}: ObservedServerInit): Promise<(registry: Registry) => void> {
  const descriptors = await loadDescriptors(import.meta.resolve('@neve/store-pathinfo/protos/store.binpb'))
  return (registry) => {
    registry.observe(tracedCalls).observe(callLog(log))
    addReflection(registry, { services: [...registry.services, HEALTH_SERVICE_NAME], descriptors })
    const services = [...registry.services, HEALTH_SERVICE_NAME]
    const needs = services.map((service) => [service, neededBy(service, backends)] as const)
    addHealth(registry, { services: new Map(needs), stop })
  }
}

/** Whether what a store is made of answers; beside it, what other stores of the same process are made of. */
export type StoreBackends = Readonly<
  Record<'blobs' | 'directories' | 'pathInfos', BackendHealth> & Record<string, BackendHealth>
>

/** Something that nobody has: whoever has to look for it has to work. */
const ABSENT = B3Digest.of(Buffer.from('is anybody there?'))

/** Asks the backends of a store whether they work; what changes is logged. */
export function storeBackends(
  { blobs, directories, pathInfos }: Pick<Store, 'blobs' | 'directories' | 'pathInfos'>,
  log: Logger,
): StoreBackends {
  const onChange = (backend: string, error: unknown): void => {
    if (error === undefined) log.info({ backend }, 'the backend answers again')
    else log.error({ backend, error: describe(error) }, 'the backend does not answer')
  }
  const watched = (name: string, probe: Probe) => new BackendHealth(name, probe, { onChange })
  return {
    blobs: watched('blobs', (signal) => blobs.has(ABSENT, { signal })),
    directories: watched('directories', (signal) => directories.get(ABSENT, { signal })),
    pathInfos: watched('path infos', (signal) => pathInfos.has(ABSENT.bytes.subarray(0, 20), { signal })),
  }
}

/** The backends behind a service, by its name. */
function neededBy(service: string, { blobs, directories, pathInfos }: StoreBackends): BackendHealth[] {
  if (service.endsWith('.PathInfoService')) return [pathInfos]
  if (service.endsWith('.DirectoryService')) return [directories]
  return /\.(Blob|Chunk)[A-Za-z]*Service$/.test(service) ? [blobs] : []
}
