import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** A client of a standard service, of another make than ours: from the .proto file alone. */
export function standardClient(file: string, service: string, address: string): grpc.Client {
  const first = fileURLToPath(
    import.meta.resolve('@neve/castore-services/protos/grpc/health/v1/health.proto'),
  )
  const definition = loadSync(file, {
    includeDirs: [join(first, '../../../..')],
    keepCase: true,
    oneofs: true,
    enums: String,
  })
  let node: unknown = grpc.loadPackageDefinition(definition)
  for (const part of service.split('.')) node = (node as Record<string, unknown>)[part]
  const Client = node as grpc.ServiceClientConstructor
  return new Client(address, grpc.credentials.createInsecure())
}

/** The methods of such a client. */
export function methodsOf<Methods>(client: grpc.Client): Methods {
  return client as unknown as Methods
}
