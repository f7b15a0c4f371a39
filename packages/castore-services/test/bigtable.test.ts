import { B3Digest, type Directory } from '@neve/castore-model'
import { directoryServiceContract } from '@neve/castore-services/contract'
import { emulatorTarget, openBigtableDirectoryService } from '@neve/castore-services/directory/bigtable'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  A,
  B,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  randomClosure,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import { BigtableClient } from '../src/directory/bigtable/client.js'
import { type BigtableEmulator, missingEmulator, startBigtableEmulator } from './servers/bigtable-emulator.js'

// A dot is a character of regular expressions that a family's name may have.
const FAMILY = 'cf.1'
let emulator: BigtableEmulator
let tables = 0

interface Opened {
  readonly service: Awaited<ReturnType<typeof openBigtableDirectoryService>>
  readonly table: string
}

async function openTable(): Promise<Opened> {
  tables += 1
  const table = `table-${tables}`
  await emulator.createTable('project-1', 'instance-1', table, FAMILY)
  return { service: await open(table), table }
}

function open(table: string, more: Record<string, unknown> = {}) {
  const config = {
    project_id: 'project-1',
    instance_name: 'instance-1',
    table_name: table,
    family_name: FAMILY,
  }
  return openBigtableDirectoryService(
    { ...config, timeout: '30', ...more },
    { target: emulatorTarget(emulator.host) },
  )
}

/** Writes cells behind the service's back. */
async function writeCell(table: string, key: string, value: Uint8Array): Promise<void> {
  const client = new BigtableClient({
    target: emulatorTarget(emulator.host),
    table: `projects/project-1/instances/instance-1/tables/${table}`,
    appProfile: 'default',
    channels: 1,
  })
  await client.writeCells([{ family: FAMILY, key: Buffer.from(key), value }], {})
  client.close()
}

describe.skipIf(missingEmulator)(`Bigtable emulator${missingEmulator ? `: ${missingEmulator}` : ''}`, () => {
  beforeAll(async () => {
    emulator = await startBigtableEmulator()
  })
  afterAll(async () => {
    await emulator?.stop()
  })

  const tablesOf = new WeakMap<Opened['service'], string>()
  directoryServiceContract('bigtable', {
    create: async () => {
      const { service, table } = await openTable()
      tablesOf.set(service, table)
      return service
    },
    capabilities: { ordersEagerly: true },
    damage: (service, digest) => writeCell(tablesOf.get(service)!, digest.toHex(), Uint8Array.of(1, 2, 3)),
  })

  it('lays rows out as the reference does, and reads them with another instance', async () => {
    const { service, table } = await openTable()
    await upload(service, WITH_KEEP, COMPLICATED)
    const client = new BigtableClient({
      target: emulatorTarget(emulator.host),
      table: `projects/project-1/instances/instance-1/tables/${table}`,
      appProfile: 'default',
      channels: 1,
    })
    const keys = [WITH_KEEP, COMPLICATED].map((directory) => directory.digest().toHex())
    const rows = await client.readRows(
      keys.map((key) => Buffer.from(key)),
      { family: '.*', qualifier: '.*' },
      0,
      {},
    )
    expect(rows.map(({ key }) => key).sort()).toEqual(keys.toSorted())
    for (const { key, cells } of rows) {
      const directory = [WITH_KEEP, COMPLICATED].find((one) => one.digest().toHex() === key)!
      expect(cells).toHaveLength(1)
      expect(cells[0]).toMatchObject({ family: FAMILY, qualifier: key })
      expect(Buffer.from(cells[0]!.value).equals(directory.encode())).toBe(true)
    }
    client.close()
    const other = await open(table)
    expect(await closureOf(other, COMPLICATED.digest())).toHaveLength(2)
    await Promise.all([service.close(), other.close()])
  })

  it('keeps one cell however often and by whatever way a directory is written', async () => {
    const { service } = await openTable()
    for (let round = 0; round < 3; round++) {
      await service.put(A)
      await upload(service, A, C)
    }
    await Promise.all(Array.from({ length: 20 }, () => upload(service, A, B, D)))
    expect((await service.get(A.digest()))?.equals(A)).toBe(true)
    expect(await closureOf(service, D.digest())).toHaveLength(3)
    await service.close()
  })

  it('stores and reads a wide and deep closure', async () => {
    const { service } = await openTable()
    const closure = randomClosure(2000, 3)
    const root = await upload(service, ...closure)
    expect(digestsOf(await closureOf(service, root)).sort()).toEqual(digestsOf(closure).sort())
    await service.close()
  })

  it('refuses a directory over the limit of a cell before any request', async () => {
    const { service } = await openTable()
    const target = 'x'.repeat(4000)
    const entries: Record<string, { kind: 'symlink'; target: never }> = {}
    const { SymlinkTarget } = await import('@neve/castore-model')
    for (let index = 0; index < 2700; index++) {
      entries[`link ${index}`] = { kind: 'symlink', target: SymlinkTarget.from(target) as never }
    }
    const large = directoryOf(entries)
    expect(large.encode().length).toBeGreaterThan(10 * 1024 * 1024)
    const tooLarge = { code: 'too-large', message: expect.stringContaining('exceeds cell limit on bigtable') }
    await expect(service.put(large)).rejects.toMatchObject(tooLarge)
    await expect(upload(service, large)).rejects.toMatchObject(tooLarge)
    delete entries['link 0']
    for (let index = 1; index < 200; index++) delete entries[`link ${index}`]
    const nearly = directoryOf(entries)
    await service.put(nearly)
    expect((await service.get(nearly.digest()))?.equals(nearly)).toBe(true)
    await service.close()
  })

  it('does not write when it is read-only', async () => {
    const { service, table } = await openTable()
    await upload(service, A, B)
    const readOnly = await open(table, { is_read_only: true })
    await expect(readOnly.put(A)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(upload(readOnly, A)).rejects.toMatchObject({ code: 'unsupported' })
    expect(await closureOf(readOnly, B.digest())).toHaveLength(2)
    await Promise.all([service.close(), readOnly.close()])
  })

  it('reports a table or family that is not there', async () => {
    const { service, table } = await openTable()
    const elsewhere = await open('no-such-table')
    await expect(elsewhere.get(A.digest())).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringMatching(/^unable to read rows: NOT_FOUND/),
    })
    const other = await open(table, { family_name: 'other' })
    await expect(other.put(A)).rejects.toMatchObject({ code: 'storage' })
    await expect(upload(other, A)).rejects.toMatchObject({ code: 'storage' })
    await Promise.all([service.close(), elsewhere.close(), other.close()])
  })

  it('says so after it was closed', async () => {
    const { service } = await openTable()
    await service.put(A)
    await service.close()
    await service.close()
    const closed = { code: 'closed' }
    await expect(service.get(A.digest())).rejects.toMatchObject(closed)
    await expect(service.put(A)).rejects.toMatchObject(closed)
    await expect(upload(service, A)).rejects.toMatchObject(closed)
    await expect(closureOf(service, A.digest())).rejects.toMatchObject(closed)
  })

  it('03#30 is found by BIGTABLE_EMULATOR_HOST, without credentials', async () => {
    const { service, table } = await openTable()
    vi.stubEnv('BIGTABLE_EMULATOR_HOST', emulator.host)
    const url = `bigtable://instance-1?project_id=project-1&table_name=${table}&family_name=${FAMILY}`
    const more = await openBigtableDirectoryService(`${url}&channel_size=10&timeout=10`)
    await more.put(A)
    const plain = await openBigtableDirectoryService(new URL(url))
    expect(await plain.get(A.digest())).toBeDefined()
    vi.unstubAllEnvs()
    await Promise.all([service.close(), more.close(), plain.close()])
  })

  it('finds damage in the middle of a closure, after what is good', async () => {
    const { service, table } = await openTable()
    await upload(service, A, B, D)
    await writeCell(table, B.digest().toHex(), A.encode())
    const found: Directory[] = []
    const collect = async () => {
      for await (const directory of service.getRecursive(D.digest())) found.push(directory)
    }
    await expect(collect()).rejects.toMatchObject({ code: 'data-loss', digest: B.digest() })
    expect(digestsOf(found)).toEqual(digestsOf([D, A]))
    expect(await service.get(B3Digest.from(new Uint8Array(32).fill(3)))).toBeUndefined()
    await service.close()
  })
})
