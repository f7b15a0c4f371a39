import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { B3Digest, Directory } from '@neve/castore-model'
import { EmbeddedBlobService, engineOf } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  BLOB_SERVICE,
  blobServiceFromAddress,
  type CompositionError,
  compositionOf,
  DIRECTORY_SERVICE,
  directoryServiceFromAddress,
  parseComposition,
} from '@neve/castore-services/composition'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { rejection } from './composition-fixture.js'
import { temporaryFolder } from './embedded-fixture.js'

const CONTENT = new TextEncoder().encode('Hello World!')

function openDescriptorsBelow(folder: string): number {
  // Only Linux tells.
  if (!existsSync('/proc/self/maps')) return 0
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false
    }
  }).length
}

describe('embedded', () => {
  it('instances with the same path share one engine, which the last one closes', async () => {
    const path = join(temporaryFolder(), 'deep', 'store')
    const first = compositionOf({
      blobservices: { a: { type: 'embedded', path }, b: { type: 'embedded', path: `${path}/../store` } },
      directoryservices: { a: { type: 'embedded', path } },
    })
    const blobs = await first.build(BLOB_SERVICE, 'a')
    const others = [await first.build(BLOB_SERVICE, 'b'), await first.build(DIRECTORY_SERVICE, 'a')]
    const alone = await blobServiceFromAddress(`embedded:${path}`)
    const engine = engineOf(blobs)!
    for (const other of [...others, alone]) expect(other).toHaveProperty('engine', engine)
    expect(blobs).toBeInstanceOf(EmbeddedBlobService)
    expect(others[1]).toBeInstanceOf(EmbeddedDirectoryService)

    const digest = await blobs.put(CONTENT)
    await first.close()
    expect(await alone.get(digest)).toEqual(CONTENT)
    await alone.close?.()
    expect(await rejection(alone.has(digest))).toMatchObject({ code: 'closed' })
    expect(openDescriptorsBelow(path)).toBe(0)

    const again = await blobServiceFromAddress(`embedded://${path}`)
    expect(await again.get(digest)).toEqual(CONTENT)
    await again.close?.()
  })

  it('opens one engine for many who ask at once, and none is left when it fails', async () => {
    const path = join(temporaryFolder(), 'store')
    const services = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        index % 2 === 0
          ? blobServiceFromAddress(`embedded:${path}`)
          : directoryServiceFromAddress(`embedded:${path}`),
      ),
    )
    const engines = new Set(services.map((service) => (service as EmbeddedBlobService).engine))
    expect(engines.size).toBe(1)
    await Promise.all(services.map((service) => service.close?.()))
    expect(openDescriptorsBelow(path)).toBe(0)

    const error = await rejection(blobServiceFromAddress('embedded:/dev/null/store'))
    expect(error).toMatchObject({ code: 'failed', instance: 'anonymous' })
    const locked = await EmbeddedStore.open(path)
    await locked.close()
  })

  it('an engine that is being closed is not in the way of the next one', async () => {
    const path = join(temporaryFolder(), 'store')
    const use = async (index: number): Promise<void> => {
      const blobs = await blobServiceFromAddress(`embedded:${path}`)
      const digest = await blobs.put(new Uint8Array([index]))
      expect(await blobs.has(digest)).toBe(true)
      await blobs.close?.()
    }
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(
        Array.from({ length: 5 }, async (_, index) => {
          await use(index)
          await use(round)
        }),
      )
    }
    expect(openDescriptorsBelow(path)).toBe(0)
  })

  it('read_only opens what is there, and refuses writes', async () => {
    const path = join(temporaryFolder(), 'store')
    expect(await rejection(blobServiceFromAddress(`embedded:${path}?read_only=true`))).toMatchObject({
      code: 'failed',
    })
    expect(existsSync(path)).toBe(false)
    const writable = await blobServiceFromAddress(`embedded:${path}`)
    const digest = await writable.put(CONTENT)
    const readonly = await blobServiceFromAddress(`embedded:${path}?read_only=true`)
    expect(await readonly.get(digest)).toEqual(CONTENT)
    await rejection(readonly.put(new Uint8Array([1])))
    await readonly.close?.()
    await writable.close?.()
  })
})

describe('grpc', () => {
  it('02#16 connects to a peer when it is built, if it is told to', async () => {
    const socket = join(temporaryFolder(), 'socket')
    await using composition = parseComposition(
      `
      [blobservices.default]
      type = "cache"
      near = "memory:"
      far = "peer"

      [blobservices.peer]
      type = "grpc"
      url = "grpc+unix:${socket}?wait-connect=1"
      timeout = "10s"

      [directoryservices.default]
      type = "grpc"
      url = { env = "PEER" }
    `.replaceAll(/^ +/gm, ''),
      { environment: { PEER: `grpc+unix:${socket}` } },
    )
    const early = await rejection(composition.build(BLOB_SERVICE, 'default'))
    expect(early).toMatchObject({
      code: 'failed',
      path: ['blob:default', 'far', 'blob:peer'],
      cause: { code: 'unavailable' },
    })
    // It connects with the first call.
    const directories = await composition.build(DIRECTORY_SERVICE, 'default')

    const blobs = new MemoryBlobService()
    const server = castoreServer({ blobs, directories: new MemoryDirectoryService() })
    await server.listen(socket)
    try {
      // W3: nobody has to start anew because the peer was late.
      const cache = await composition.build(BLOB_SERVICE, 'default')
      const digest = await blobs.put(CONTENT)
      expect(await cache.has(B3Digest.of(new Uint8Array([9])))).toBe(false)
      expect(new Uint8Array((await cache.get(digest))!)).toEqual(CONTENT)
      const root = await directories.put(Directory.EMPTY)
      expect(await directories.get(root)).toBeDefined()
      await composition.close()
      expect(await rejection(directories.get(root))).toMatchObject({ code: 'closed' })
    } finally {
      await server.close()
    }
  })

  it('the address of a peer closes its channel', async () => {
    const socket = join(temporaryFolder(), 'socket')
    const server = castoreServer({ blobs: new MemoryBlobService() })
    await server.listen(socket)
    try {
      const blobs = await blobServiceFromAddress(`grpc+unix:${socket}?wait-connect=1`)
      const digest = await blobs.put(CONTENT)
      await blobs.close?.()
      expect(await rejection(blobs.has(digest))).toMatchObject({ code: 'closed' })
    } finally {
      await server.close()
    }
  })
})

describe('objectstore', () => {
  it('keeps what another process may read, with chunks of the size that was asked for', async () => {
    const folder = join(temporaryFolder(), 'objects')
    const large = new Uint8Array(64 * 1024).map((_, index) => (index * 2654435761) >>> 13)
    const writer = await blobServiceFromAddress(`objectstore+file://${folder}?avg_chunk_size=4096`)
    const digest = await writer.put(large)
    expect((await writer.chunks(digest))?.length).toBeGreaterThan(4)
    await writer.close?.()
    await using composition = compositionOf({
      blobservices: {
        default: { type: 'objectstore', object_store_url: `file://${folder}` },
        empty: { type: 'objectstore', object_store_url: 'memory:', object_store_options: {} },
      },
      directoryservices: { default: { type: 'objectstore', object_store_url: `file://${folder}` } },
    })
    const blobs = await composition.build(BLOB_SERVICE, 'default')
    expect(await blobs.get(digest)).toEqual(large)
    expect(await (await composition.build(BLOB_SERVICE, 'empty')).has(digest)).toBe(false)
    const directories = await composition.build(DIRECTORY_SERVICE, 'default')
    const root = await directories.put(Directory.EMPTY)
    expect(await directories.get(root)).toBeDefined()
  })

  it('an option that the store does not know is refused with its name, not its value', async () => {
    const address = 'objectstore+s3://bucket?aws_secret_access_kye=hunter2canary'
    const error = await rejection(blobServiceFromAddress(address))
    expect((error as Error).message).toContain('aws_secret_access_kye')
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('hunter2')
  })
})

describe('combinators', () => {
  it('cache keeps near what it read from far', async () => {
    await using composition = parseComposition(`
      blobservices = { near = { type = "memory" }, far = { type = "memory" }, default = { type = "cache", near = "near", far = "far" } }
      directoryservices = { near = { type = "memory" }, far = { type = "memory" }, default = { type = "cache", near = "near", far = "far", writes = "back" } }
    `)
    const far = await composition.build(BLOB_SERVICE, 'far')
    const digest = await far.put(CONTENT)
    const cache = await composition.build(BLOB_SERVICE, 'default')
    expect(await cache.get(digest)).toEqual(CONTENT)
    await cache.close?.()
    expect(await (await composition.build(BLOB_SERVICE, 'near')).has(digest)).toBe(true)

    const directories = await composition.build(DIRECTORY_SERVICE, 'default')
    const root = await directories.put(Directory.EMPTY)
    await directories.close?.()
    for (const side of ['near', 'far']) {
      expect(await (await composition.build(DIRECTORY_SERVICE, side)).get(root)).toBeDefined()
    }
  })

  it('mirror writes to all, and names the one that failed', async () => {
    const path = join(temporaryFolder(), 'store')
    await (await blobServiceFromAddress(`embedded:${path}`)).close?.()
    await using composition = compositionOf({
      blobservices: {
        a: { type: 'memory' },
        b: { type: 'memory' },
        default: { type: 'mirror', stores: ['a', '&b'] },
        half: { type: 'mirror', stores: ['a', 'readonly:?store=%26b'] },
        named: { type: 'readonly', store: 'b' },
        broken: { type: 'mirror', stores: ['a', 'named'] },
      },
    })
    const mirror = await composition.build(BLOB_SERVICE, 'default')
    const digest = await mirror.put(CONTENT)
    for (const side of ['a', 'b'])
      expect(await (await composition.build(BLOB_SERVICE, side)).has(digest)).toBe(true)
    const half = await composition.build(BLOB_SERVICE, 'half')
    expect((await rejection(half.put(CONTENT))) as Error).toHaveProperty(
      'message',
      expect.stringContaining('stores[1]'),
    )
    const broken = await composition.build(BLOB_SERVICE, 'broken')
    expect((await rejection(broken.put(CONTENT))) as Error).toHaveProperty(
      'message',
      expect.stringContaining('named'),
    )
  })

  it.each(['mirror', 'priority', 'readonly', 'verify'])(
    '%s exists for both kinds, and as an address',
    async (tag) => {
      const query = tag === 'mirror' || tag === 'priority' ? 'stores=memory:&stores=memory:' : 'store=memory:'
      const blobs = await blobServiceFromAddress(`${tag}:?${query}`)
      expect(
        await blobs.get(await blobServiceFromAddress('memory:').then((memory) => memory.put(CONTENT))),
      ).toBeUndefined()
      await blobs.close?.()
      const directories = await directoryServiceFromAddress(`${tag}://?${query}`)
      expect(await directories.get(Directory.EMPTY.digest())).toBeUndefined()
      await directories.close?.()
    },
  )

  it('an address of a combinator closes everything that was opened for it', async () => {
    const path = join(temporaryFolder(), 'store')
    const address = `cache://?near=${encodeURIComponent(`embedded:${path}`)}&far=memory%3A`
    const blobs = await blobServiceFromAddress(address)
    const digest = await blobs.put(CONTENT)
    expect(await blobs.get(digest)).toEqual(CONTENT)
    await Promise.all([blobs.close?.(), blobs.close?.()])
    expect(openDescriptorsBelow(path)).toBe(0)
    await blobs.close?.()
  })

  it('an address that fails in part leaves nothing open', async () => {
    const path = join(temporaryFolder(), 'store')
    const address = `cache://?near=${encodeURIComponent(`embedded:${path}`)}&far=sled%3A`
    const error = (await rejection(blobServiceFromAddress(address))) as CompositionError
    expect(error).toMatchObject({
      instance: 'anonymous.far',
      path: ['blob:anonymous', 'far', 'blob:anonymous.far'],
    })
    expect(openDescriptorsBelow(path)).toBe(0)
  })

  it('an address is cancelled by its signal', async () => {
    const reason = new Error('enough')
    const options = { signal: AbortSignal.abort(reason) }
    expect(await rejection(blobServiceFromAddress('memory:', options))).toBe(reason)
  })
})
