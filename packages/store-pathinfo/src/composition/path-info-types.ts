import {
  duration,
  embeddedType,
  grpcType,
  Kind,
  memoryType,
  queryConfig,
  reference,
  refuseParts,
  type ServiceType,
  wrapperType,
} from '@neve/castore-services/composition'
import { z } from 'zod'
import type { PathInfoService } from '../path-info-service.js'

/** Path info services: table `pathinfoservices`. */
export const PATH_INFO_SERVICE: Kind<PathInfoService> = new Kind<PathInfoService>({
  name: 'path-info',
  table: 'pathinfoservices',
})

/** Path infos in the memory of the process: `memory:`. */
export const memoryPathInfos: ServiceType<PathInfoService, object> = memoryType(async () => {
  const { MemoryPathInfoService } = await import('../path-info/memory.js')
  return new MemoryPathInfoService()
})

/** Path infos in an embedded store: `embedded:/var/lib/neve`. */
export const embeddedPathInfos = embeddedType<PathInfoService>(async (engine) => {
  const { EmbeddedPathInfoService } = await import('../path-info/embedded.js')
  return new EmbeddedPathInfoService(engine)
})

/** Path infos of another process: `grpc+unix:/run/neve.sock`. */
export const grpcPathInfos = grpcType<PathInfoService>(async (channel) => {
  const { GrpcPathInfoService } = await import('../grpc/index.js')
  return new GrpcPathInfoService(channel)
})

const cacheSchema = z.strictObject({
  near: reference(),
  far: reference(),
  negative_ttl: duration().optional(),
})

/** A near service that keeps what is read from a far one: `cache:?near=…&far=…`. */
export const cachePathInfos: ServiceType<PathInfoService, z.infer<typeof cacheSchema>> = {
  tag: 'cache',
  schema: cacheSchema,
  fromUrl: fromQuery,
  references: ({ near, far }) => [
    { kind: PATH_INFO_SERVICE, key: 'near', value: near },
    { kind: PATH_INFO_SERVICE, key: 'far', value: far },
  ],
  async build({ near, far, negative_ttl: negativeTtl }, context) {
    const { CachePathInfoService } = await import('../path-info/cache.js')
    const sides = await context.resolveAll(PATH_INFO_SERVICE, { near, far })
    return new CachePathInfoService({
      ...sides,
      negativeTtl,
      onTrouble: (trouble) => context.report(trouble),
    })
  },
}

const lruSchema = z.strictObject({ capacity: z.int().min(1) })

/** What was used last, in the memory of the process: `lru:?capacity=1000`. */
export const lruPathInfos: ServiceType<PathInfoService, z.infer<typeof lruSchema>> = {
  tag: 'lru',
  schema: lruSchema,
  fromUrl(url) {
    refuseParts(url, ['host', 'path'])
    return queryConfig(url, { capacity: 'integer' })
  },
  async build({ capacity }) {
    const { LruPathInfoService } = await import('../path-info/lru.js')
    return new LruPathInfoService({ capacity })
  },
}

const signingSchema = z.strictObject({ inner: reference(), keyfile: z.string().min(1) })

/** Signs what is put with the key of a file: `keyfile-signing:?inner=…&keyfile=…`. */
export const signingPathInfos: ServiceType<PathInfoService, z.infer<typeof signingSchema>> = {
  tag: 'keyfile-signing',
  schema: signingSchema,
  fromUrl: fromQuery,
  references: ({ inner }) => [{ kind: PATH_INFO_SERVICE, key: 'inner', value: inner }],
  async build({ inner, keyfile }, context) {
    const { readKeyFile, SigningPathInfoService } = await import('../path-info/signing.js')
    const key = await readKeyFile(keyfile)
    return new SigningPathInfoService(await context.resolve(PATH_INFO_SERVICE, inner, 'inner'), key)
  },
}

/** Path infos that can only be read: `readonly:?store=…`. */
export const readonlyPathInfos: ServiceType<PathInfoService, { readonly store: string }> = {
  ...wrapperType(PATH_INFO_SERVICE, 'readonly'),
  async build({ store }, context) {
    const { ReadonlyPathInfoService } = await import('../path-info/readonly.js')
    return new ReadonlyPathInfoService(await context.resolve(PATH_INFO_SERVICE, store, 'store'))
  },
}

function fromQuery(url: URL): Readonly<Record<string, unknown>> {
  refuseParts(url, ['host', 'path'])
  return queryConfig(url)
}
