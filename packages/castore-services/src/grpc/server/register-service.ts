import type { Server, ServiceDefinition } from 'nice-grpc'
import type { GrpcServiceDefinition } from '../service-definition.js'

/** Registers a service under the name of each of its generations. */
export function registerService<D extends ServiceDefinition>(
  server: Server,
  service: GrpcServiceDefinition<D>,
  implementation: Parameters<typeof server.add<D>>[1],
): void {
  for (const definition of service.generations.values()) server.add(definition, implementation)
}
