import { join } from 'node:path'
import { Directory } from '@neve/castore-model'
import { DataLossError } from '@neve/castore-services'
import { directoryServiceContract } from '@neve/castore-services/contract'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, closureOf, digestsOf, upload, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'

async function replace(
  engine: EmbeddedStore,
  digest: Uint8Array,
  bytes: Uint8Array | undefined,
): Promise<void> {
  const session = engine.write()
  if (bytes === undefined) session.remove('directories', digest)
  else session.put('directories', digest, bytes)
  await session.commit()
}

directoryServiceContract('embedded', {
  capabilities: { ordersEagerly: true },
  create: async () =>
    new EmbeddedDirectoryService(await EmbeddedStore.open(join(temporaryFolder(), 'store'))),
  dispose: (service) => service.engine.close(),
  damage: async (service, digest) => {
    const bytes = service.engine.get('directories', digest.bytes)!
    bytes[bytes.length >> 1]! ^= 4
    await replace(service.engine, digest.bytes, bytes)
  },
})

describe('directories in an embedded store', () => {
  it('are there after the store was closed and opened', async () => {
    const { engine, directories } = await embeddedServices()
    await upload(directories, WITH_KEEP, COMPLICATED)
    await engine.close()
    const again = await embeddedServices(engine.path)
    expect(digestsOf(await closureOf(again.directories, COMPLICATED.digest()))).toEqual(
      digestsOf([COMPLICATED, WITH_KEEP]),
    )
    await again.engine.close()
  })

  it.each([
    ['another directory', () => WITH_KEEP.encode()],
    ['nothing', () => new Uint8Array(0)],
    ['a cut one', () => COMPLICATED.encode().subarray(0, 40)],
    ['no message', () => Uint8Array.of(0xff, 0xff, 0xff)],
  ])('%s under its digest is data loss', async (_name, bytes) => {
    const { engine, directories } = await embeddedServices()
    await upload(directories, WITH_KEEP, COMPLICATED)
    await replace(engine, COMPLICATED.digest().bytes, bytes())
    await expect(directories.get(COMPLICATED.digest())).rejects.toMatchObject({
      name: 'DataLossError',
      digest: COMPLICATED.digest(),
      backend: `embedded:${engine.path}`,
    })
    await engine.close()
  })

  it('03#3 a missing child is data loss, after what lies above it', async () => {
    const { engine, directories } = await embeddedServices()
    await upload(directories, WITH_KEEP, COMPLICATED)
    await replace(engine, WITH_KEEP.digest().bytes, undefined)
    const seen: Directory[] = []
    await expect(async () => {
      for await (const directory of directories.getRecursive(COMPLICATED.digest())) seen.push(directory)
    }).rejects.toBeInstanceOf(DataLossError)
    expect(digestsOf(seen)).toEqual(digestsOf([COMPLICATED]))
    await engine.close()
  })

  it('after the store was closed every call says so', async () => {
    const { engine, directories } = await embeddedServices()
    await directories.put(Directory.EMPTY)
    await engine.close()
    const closed = { name: 'CastoreError', code: 'closed' }
    await expect(directories.get(Directory.EMPTY.digest())).rejects.toMatchObject(closed)
    await expect(directories.put(Directory.EMPTY)).rejects.toMatchObject(closed)
    await expect(closureOf(directories, Directory.EMPTY.digest())).rejects.toMatchObject(closed)
    await expect(upload(directories, Directory.EMPTY)).rejects.toMatchObject(closed)
  })
})
