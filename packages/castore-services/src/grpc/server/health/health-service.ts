import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceImplementation } from 'nice-grpc'
import { type CallContext, Status } from 'nice-grpc-common'
import { defineService, serverStreaming, unary } from '../../service-definition.js'
import type { ServiceRegistry } from '../grpc-server.js'
import { serverError } from '../status.js'
import type { BackendHealth } from './backend-health.js'
import { healthCheckRequest, healthCheckResponse, ServingStatus } from './messages.js'

/** The name of the service. */
export const HEALTH_SERVICE_NAME = 'grpc.health.v1.Health'

/** `Health`, for nice-grpc. */
export const HEALTH_GRPC_SERVICE = defineService(HEALTH_SERVICE_NAME, {
  Check: unary(healthCheckRequest, healthCheckResponse),
  Watch: serverStreaming(healthCheckRequest, healthCheckResponse),
})

/** What {@link healthImplementation} tells of. */
export interface HealthInit {
  /** The full names of services, and the backends that each of them needs. The empty name stands for all of them. */
  readonly services: ReadonlyMap<string, readonly BackendHealth[]>
  /** Once it fires nothing is SERVING any more, and those who watch are told so for the last time. Default: never. */
  readonly stop?: AbortSignal | undefined
  /** How often to look for those who watch, in milliseconds. Default: 2000. */
  readonly interval?: number | undefined
}

/** Lets clients ask whether services work: whether their backends answer (spec 08 sections 3.1 and 9). */
export function addHealth(server: ServiceRegistry, init: HealthInit): void {
  server.add(HEALTH_GRPC_SERVICE, healthImplementation(init))
}

/** The service behind {@link HEALTH_GRPC_SERVICE}. */
export function healthImplementation({
  services,
  stop = new AbortController().signal,
  interval = 2000,
}: HealthInit): ServiceImplementation<typeof HEALTH_GRPC_SERVICE> {
  const all = [...new Set([...services.values()].flat())]

  async function statusOf(service: string): Promise<ServingStatus> {
    const backends = service === '' ? all : services.get(service)
    if (backends === undefined) return ServingStatus.SERVICE_UNKNOWN
    const healthy = await Promise.all(backends.map((backend) => backend.healthy()))
    return !stop.aborted && healthy.every(Boolean) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING
  }

  return {
    async Check({ service }) {
      const status = await statusOf(service)
      if (status !== ServingStatus.SERVICE_UNKNOWN) return { status }
      throw serverError(Status.NOT_FOUND, `there is no service ${service}`)
    },

    async *Watch({ service }, { signal }: CallContext) {
      const over = AbortSignal.any([signal, stop])
      let last: ServingStatus | undefined
      for (;;) {
        const status = await statusOf(service)
        if (status !== last) yield { status }
        last = status
        if (over.aborted) return
        await sleep(interval, undefined, { signal: over }).catch(() => {})
      }
    },
  }
}
