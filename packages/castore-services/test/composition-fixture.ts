import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  BLOB_SERVICE,
  type Builder,
  Composition,
  defaultRegistry,
  type Kind,
  Registry,
  reference,
  type ServiceType,
} from '@neve/castore-services/composition'
import { z } from 'zod'

/** A service that notes what becomes of it. */
export class NotedBlobs extends MemoryBlobService {
  closed = 0

  constructor(
    readonly instance: string,
    readonly parts: readonly object[],
    readonly log: string[],
  ) {
    super()
    log.push(`build ${instance}`)
  }

  async close(): Promise<void> {
    this.closed += 1
    this.log.push(`close ${this.instance}`)
  }
}

const pair = z.object({ left: reference(), right: reference() })

/** A registry with the default types, and `leaf` and `pair` (of `left` and `right`) that write into a log. */
export function notedRegistry(log: string[] = []): Registry {
  const registry = defaultRegistry()
  const leaf: ServiceType<NotedBlobs, object> = {
    tag: 'leaf',
    schema: z.object({}),
    fromUrl: () => ({}),
    build: (_, { instanceName }) => new NotedBlobs(instanceName, [], log),
  }
  const pairs: ServiceType<NotedBlobs, z.infer<typeof pair>> = {
    tag: 'pair',
    schema: pair,
    fromUrl: (url) => Object.fromEntries(url.searchParams),
    references: ({ left, right }) => [
      { kind: BLOB_SERVICE, key: 'left', value: left },
      { kind: BLOB_SERVICE, key: 'right', value: right },
    ],
    async build({ left, right }, context) {
      const parts = await context.resolveAll(BLOB_SERVICE, { left, right })
      return new NotedBlobs(context.instanceName, [parts.left, parts.right], log)
    },
  }
  registry.register(BLOB_SERVICE, leaf)
  registry.register(BLOB_SERVICE, pairs)
  return registry
}

/** A composition of blob services of that registry. */
export function blobComposition(configs: Readonly<Record<string, object>>, log: string[] = []): Composition {
  const registry = notedRegistry(log)
  const composition = new Composition({ registry })
  composition.extend(BLOB_SERVICE, registry.parseTable(BLOB_SERVICE, configs))
  return composition
}

/** A composition of builders that are functions. */
export function compositionOfFunctions<S>(
  kind: Kind<S>,
  builders: Readonly<Record<string, Builder<S>['build']>>,
  init: Partial<ConstructorParameters<typeof Composition>[0]> = {},
): Composition {
  const composition = new Composition({ registry: new Registry(), ...init })
  composition.extend(
    kind,
    Object.fromEntries(Object.entries(builders).map(([name, build]) => [name, { build }])),
  )
  return composition
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
