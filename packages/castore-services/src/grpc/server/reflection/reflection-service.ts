import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ServiceImplementation } from 'nice-grpc'
import { Status } from 'nice-grpc-common'
import { bidirectional, defineService } from '../../service-definition.js'
import type { ServiceRegistry } from '../grpc-server.js'
import { serverError } from '../status.js'
import { DescriptorFiles } from './descriptor-files.js'
import {
  type ReflectionAnswer,
  type ReflectionQuestion,
  reflectionRequest,
  reflectionResponse,
} from './messages.js'

const VERSIONS = ['v1', 'v1alpha'] as const

function nameOf(version: (typeof VERSIONS)[number]): string {
  return `grpc.reflection.${version}.ServerReflection`
}

/** `ServerReflection` in both versions: older grpcurl and evans know v1alpha only. */
export const REFLECTION_GRPC_SERVICES = VERSIONS.map((version) =>
  defineService(nameOf(version), {
    ServerReflectionInfo: bidirectional(reflectionRequest, reflectionResponse),
  }),
)

/** The methods of {@link REFLECTION_GRPC_SERVICES}, for nice-grpc. */
export type ReflectionMethods = (typeof REFLECTION_GRPC_SERVICES)[number]

/** What reflection tells of. */
export interface ReflectionInit {
  /** The full names of the services that are there, without those of reflection. */
  readonly services: readonly string[]
  /** All that the services mention. */
  readonly descriptors: DescriptorFiles
}

/** The longest request, in bytes: each answer repeats it. */
const MAX_REQUEST = 8 * 1024
/** The most requests of one stream: who wants to know everything asks for less than a hundredth. */
const MAX_REQUESTS = 10_000

/**
 * Lets clients ask what services, methods and messages there are (spec 08 section 3.1), so that `grpcurl` and its like
 * need no .proto files.
 */
export function addReflection(server: ServiceRegistry, init: ReflectionInit): void {
  const implementation = reflectionImplementation(init)
  for (const definition of REFLECTION_GRPC_SERVICES) server.add(definition, implementation)
}

/** The service behind {@link REFLECTION_GRPC_SERVICES}. */
export function reflectionImplementation({
  services,
  descriptors,
}: ReflectionInit): ServiceImplementation<ReflectionMethods> {
  const names = [...services, ...VERSIONS.map(nameOf)].sort()
  return {
    async *ServerReflectionInfo(requests) {
      let count = 0
      const sent = new Set<string>()
      for await (const request of requests) {
        if (++count > MAX_REQUESTS) {
          throw serverError(Status.RESOURCE_EXHAUSTED, `more than ${MAX_REQUESTS} requests in one stream`)
        }
        if (request.bytes.length > MAX_REQUEST) {
          const detail = `request of ${request.bytes.length} bytes, expected at most ${MAX_REQUEST}`
          throw serverError(Status.INVALID_ARGUMENT, detail)
        }
        yield { request, answer: answerTo(request.question, descriptors, names, sent) }
      }
    },
  }
}

/** @param sent names of files that the stream has been told, which need not be told again unless they are asked for */
function answerTo(
  question: ReflectionQuestion | undefined,
  files: DescriptorFiles,
  services: readonly string[],
  sent: Set<string>,
): ReflectionAnswer {
  if (question === undefined) return refusal(Status.INVALID_ARGUMENT, 'message_request is not set')
  const { kind, name } = question
  switch (kind) {
    case 'services':
      return { kind, names: services }
    case 'extension-numbers':
      // None of the messages can be extended: there are no extensions in proto3 but of options.
      if (files.hasMessage(name)) return { kind, type: name }
      return refusal(Status.NOT_FOUND, `there is no message ${name}`)
    case 'extension':
      return refusal(Status.NOT_FOUND, `there is no extension ${question.number} of ${name}`)
    default: {
      const file = kind === 'file' ? files.byName(name) : files.bySymbol(name)
      if (file === undefined) return refusal(Status.NOT_FOUND, `there is no ${kind} ${name}`)
      const fresh = files.withImports(file).filter((other) => other === file || !sent.has(other.name))
      for (const other of fresh) sent.add(other.name)
      return { kind: 'files', files: fresh.map(({ bytes }) => bytes) }
    }
  }
}

function refusal(status: Status, details: string): ReflectionAnswer {
  return { kind: 'error', status, details }
}

/**
 * Reads the descriptors of the services of this package, of the standard ones, and of others.
 *
 * @param urls further descriptor sets, as `file:` URLs: `import.meta.resolve('@neve/store-pathinfo/protos/store.binpb')`
 */
export async function loadDescriptors(...urls: readonly string[]): Promise<DescriptorFiles> {
  const own = ['@neve/castore-model/protos/castore.binpb', '@neve/castore-services/protos/grpc.binpb']
  const all = [...own.map((name) => import.meta.resolve(name)), ...urls]
  return new DescriptorFiles(await Promise.all(all.map((url) => readFile(fileURLToPath(url)))))
}
