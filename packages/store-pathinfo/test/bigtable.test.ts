import { openBigtableClient } from '@neve/castore-services/bigtable'
import { emulatorTarget } from '@neve/castore-services/directory/bigtable'
import { Signature } from '@neve/nix-compat'
import { encodePathInfo, type PathInfo, type PathInfoService } from '@neve/store-pathinfo'
import { openBigtablePathInfoService } from '@neve/store-pathinfo/bigtable'
import { bytes, pathInfoServiceContract, randomPathInfo } from '@neve/store-pathinfo/contract'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BigtableEmulator,
  missingEmulator,
  startBigtableEmulator,
} from '../../castore-services/test/servers/bigtable-emulator.js'
import { expectAllSignaturesKept } from './concurrent-signatures.js'

// A dot is a character of regular expressions that a family's name may have.
const FAMILY = 'cf.1'
let emulator: BigtableEmulator
let tables = 0
const names = new WeakMap<PathInfoService, string>()

const config = (table: string, more: Record<string, unknown> = {}) => ({
  project_id: 'project-1',
  instance_name: 'instance-1',
  table_name: table,
  family_name: FAMILY,
  timeout: '30',
  ...more,
})
const open = (table: string, more?: Record<string, unknown>) =>
  openBigtablePathInfoService(config(table, more), { target: emulatorTarget(emulator.host) })

async function openTable() {
  const table = `path-infos-${++tables}`
  await emulator.createTable('project-1', 'instance-1', table, FAMILY)
  const service = await open(table)
  names.set(service, table)
  return service
}

/** Writes cells behind the service's back. */
async function writeCells(table: string, cells: readonly (readonly [string, Uint8Array])[]): Promise<void> {
  const { client } = await openBigtableClient(config(table), { target: emulatorTarget(emulator.host) })
  await client.writeCells(
    cells.map(([key, value]) => ({ family: FAMILY, key: Buffer.from(key), value })),
    {},
  )
  client.close()
}
const hexOf = ({ storePath }: PathInfo) => Buffer.from(storePath.digest).toString('hex')

describe.skipIf(missingEmulator)(`Bigtable emulator${missingEmulator ? `: ${missingEmulator}` : ''}`, () => {
  beforeAll(async () => {
    emulator = await startBigtableEmulator()
  })
  afterAll(async () => {
    await emulator?.stop()
  })

  pathInfoServiceContract('Bigtable', {
    create: openTable,
    damage: (service, digest) =>
      writeCells(names.get(service)!, [[Buffer.from(digest).toString('hex'), new Uint8Array([0x0a, 0xff])]]),
  })

  it('what several add to the same one at once is all kept', async () => {
    const first = await openTable()
    const others = await Promise.all(Array.from({ length: 5 }, () => open(names.get(first)!)))
    await expectAllSignaturesKept([first, ...others])
    for (const service of [first, ...others]) await service.close()
  })

  it('07 6.4: a row is named by the digest in hex, and so is its column', async () => {
    const service = await openTable()
    const info = randomPathInfo(6)
    await service.put(info)
    const { client } = await openBigtableClient(config(names.get(service)!), {
      target: emulatorTarget(emulator.host),
    })
    const rows = await client.readRows(
      [Buffer.from(hexOf(info))],
      { family: 'cf\\.1', qualifier: '.*' },
      0,
      {},
    )
    expect(rows).toEqual([
      {
        key: hexOf(info),
        cells: [{ family: FAMILY, qualifier: hexOf(info), value: encodePathInfo(info) }],
      },
    ])
    client.close()
    await service.close()
  })

  it('lists more than a page, and not what is none of ours', async () => {
    const service = await openTable()
    const infos = Array.from({ length: 600 }, (_, i) => randomPathInfo(i + 1))
    const cells = infos.map((info) => [hexOf(info), encodePathInfo(info)] as const)
    await writeCells(names.get(service)!, [...cells, ['f'.repeat(64), bytes(9, 'a directory')]])
    const listed: string[] = []
    for await (const info of service.list()) listed.push(hexOf(info))
    expect(listed).toEqual(infos.map(hexOf).sort())
    await service.close()
  })

  it('07 6.4: what is under another digest is damage, and put again', async () => {
    const service = await openTable()
    const [info, other] = [randomPathInfo(1), randomPathInfo(2)]
    await writeCells(names.get(service)!, [[hexOf(info), encodePathInfo(other)]])
    await expect(service.get(info.storePath.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await service.put(info)
    expect(await service.get(info.storePath.digest)).toEqual(info)
    await service.close()
  })

  it('07 6.4: what no cell can hold is refused', async () => {
    const service = await openTable()
    const signatures = Array.from(
      { length: 35_000 },
      (_, i) => new Signature(`${i}${'k'.repeat(250)}`.slice(0, 250), bytes(64, `${i}`)),
    )
    await expect(service.put({ ...randomPathInfo(1), signatures })).rejects.toMatchObject({
      code: 'too-large',
    })
    expect(await service.has(randomPathInfo(1).storePath.digest)).toBe(false)
    await service.close()
  })

  it('read-only, puts are refused', async () => {
    const service = await openTable()
    const info = await service.put(randomPathInfo(1))
    const reader = await open(names.get(service)!, { is_read_only: true })
    expect(await reader.get(info.storePath.digest)).toEqual(info)
    await expect(reader.put(info)).rejects.toMatchObject({ code: 'unsupported' })
    await reader.close()
    await service.close()
  })
})

it('07#27 addresses of Bigtable', async () => {
  const target = emulatorTarget('127.0.0.1:1')
  const url = 'bigtable://instance-1?project_id=project-1&table_name=table-1&family_name=cf1'
  await (await openBigtablePathInfoService(url, { target })).close()
  await expect(openBigtablePathInfoService('bigtable://instance-1', { target })).rejects.toMatchObject({
    code: 'invalid-request',
  })
})
