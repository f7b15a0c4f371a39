import type { ServiceDefinition, ServiceImplementation } from 'nice-grpc'
import type { GrpcServiceDefinition } from '../service-definition.js'
import type { ServiceRegistry } from './grpc-server.js'

/** Registers a service under the name of each of its generations. */
export function registerService<D extends ServiceDefinition>(
  server: ServiceRegistry,
  service: GrpcServiceDefinition<D>,
  implementation: ServiceImplementation<D>,
): void {
  for (const definition of service.generations.values()) server.add(definition, implementation)
}
