import {
  BLOB_SERVICE,
  bigtableType,
  byteSize,
  ConfigError,
  DIRECTORY_SERVICE,
  duration,
  embeddedSchema,
  embeddedType,
  grpcType,
  Kind,
  memoryType,
  objectStoreSchema,
  objectStoreType,
  queryConfig,
  reference,
  refuseParts,
  type ServiceType,
  wrapperType,
} from '@neve/castore-services/composition'
import { z } from 'zod'
import { type NixHttpAddress, parseNixHttpAddress } from '../nix-http/address.js'
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

const retentionShape = { keep_used_within: duration().optional(), max_size: byteSize().optional() }
/** Checks the configuration of {@link embeddedPathInfos}. */
export const embeddedPathInfosSchema: z.ZodObject<
  typeof embeddedSchema.shape & typeof retentionShape,
  z.core.$strict
> = embeddedSchema.extend(retentionShape)

/**
 * Path infos in an embedded store: `embedded:/var/lib/neve`. What is kept when garbage is collected in it is said here,
 * since it goes by path info.
 */
export const embeddedPathInfos: ServiceType<PathInfoService, z.infer<typeof embeddedPathInfosSchema>> = {
  ...embeddedType<PathInfoService>(async (engine) => {
    const { EmbeddedPathInfoService } = await import('../path-info/embedded.js')
    return new EmbeddedPathInfoService(engine)
  }),
  schema: embeddedPathInfosSchema,
}

/** Path infos of another process: `grpc+unix:/run/neve.sock`. */
export const grpcPathInfos = grpcType<PathInfoService>(async (channel) => {
  const { GrpcPathInfoService } = await import('../grpc/index.js')
  return new GrpcPathInfoService(channel)
})

/** Checks the configuration of {@link objectStorePathInfos}. */
export const objectStorePathInfosSchema: z.ZodObject<
  typeof objectStoreSchema.shape & typeof retentionShape,
  z.core.$strict
> = objectStoreSchema.extend(retentionShape)

/**
 * Path infos in an object store, under `neve/pathinfo/`: `objectstore+s3://bucket/prefix`. What is kept of the whole store
 * when garbage is collected in it is said here.
 */
export const objectStorePathInfos: ServiceType<
  PathInfoService,
  z.infer<typeof objectStorePathInfosSchema>
> = {
  ...objectStoreType<PathInfoService>(async (store) => {
    const { ObjectStorePathInfoService } = await import('../object-store.js')
    return new ObjectStorePathInfoService(store)
  }),
  schema: objectStorePathInfosSchema,
}

/** Path infos in a table of Google Cloud Bigtable: `bigtable://instance?project_id=…`. */
export const bigtablePathInfos = bigtableType<PathInfoService>(async (config) => {
  const { openBigtablePathInfoService } = await import('../bigtable.js')
  return openBigtablePathInfoService(config)
})

const nixSchema = z.strictObject({
  base_url: z.string().regex(/^https?:\/\/[^/?#]/, { error: 'expected http:// or https:// and a host' }),
  blob_service: reference().default('&root'),
  directory_service: reference().default('&root'),
  trusted_public_keys: z.array(z.string()).default([]),
  force_download_nar: z.boolean().default(false),
})

/**
 * A Nix binary cache, whose contents are stored in other services when they are asked for (spec 07 section 13.4):
 * `nix+https://cache.nixos.org?trusted_public_keys[0]=…`.
 */
export const nixPathInfos: ServiceType<PathInfoService, z.infer<typeof nixSchema>> = {
  tag: 'nix',
  suffixes: ['http', 'https'],
  schema: nixSchema,
  fromUrl(_url, text) {
    const { url, trustedPublicKeys, forceDownloadNar } = readNixAddress(text)
    return {
      base_url: url.href,
      trusted_public_keys: trustedPublicKeys.map(String),
      force_download_nar: forceDownloadNar,
    }
  },
  references: ({ blob_service, directory_service }) => [
    { kind: BLOB_SERVICE, key: 'blob_service', value: blob_service },
    { kind: DIRECTORY_SERVICE, key: 'directory_service', value: directory_service },
  ],
  async build(config, context) {
    const { NixHttpPathInfoService } = await import('../nix-http/index.js')
    const keys = config.trusted_public_keys.map((key, index) => `trusted_public_keys[${index}]=${key}`)
    const options = [...keys, `force_download_nar=${config.force_download_nar}`].join('&')
    return new NixHttpPathInfoService({
      address: `nix+${config.base_url}?${options}`,
      blobs: await context.resolve(BLOB_SERVICE, config.blob_service, 'blob_service'),
      directories: await context.resolve(DIRECTORY_SERVICE, config.directory_service, 'directory_service'),
      onTrouble: ({ error }) => context.report({ store: 'castore of the cache', error }),
    })
  },
}

function readNixAddress(text: string): NixHttpAddress {
  try {
    return parseNixHttpAddress(text)
  } catch (cause) {
    throw new ConfigError(cause instanceof Error ? cause.message : String(cause), {}, { cause })
  }
}

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
