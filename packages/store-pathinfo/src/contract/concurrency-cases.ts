import { Signature } from '@neve/nix-compat'
import { expect, it } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'
import { bytes, pathInfoOf, randomPathInfo } from './path-info-fixtures.js'

/** A hundred of each call at once. */
export function concurrencyCases(service: () => PathInfoService): void {
  const hundred = Array.from({ length: 100 }, (_, i) => randomPathInfo(i + 1))

  it('puts of different ones, gets and has', async () => {
    await Promise.all(hundred.map((info) => service().put(info)))
    const got = await Promise.all(hundred.map(({ storePath }) => service().get(storePath.digest)))
    expect(got).toEqual(hundred)
    const has = await Promise.all(hundred.map(({ storePath }) => service().has(storePath.digest)))
    expect(has.every(Boolean)).toBe(true)
  })

  it('puts of the same one', async () => {
    const info = randomPathInfo(5)
    const stored = await Promise.all(hundred.map(() => service().put(info)))
    for (const each of stored) expect(each).toEqual(info)
  })

  it('signatures that are added at once are all kept', async () => {
    const info = pathInfoOf('00000000000000000000000000000000-dummy')
    const names = Array.from({ length: 100 }, (_, i) => `key-${i}`)
    await Promise.all(
      names.map((name) => service().put({ ...info, signatures: [new Signature(name, bytes(64, name))] })),
    )
    const stored = await service().get(info.storePath.digest)
    expect(stored?.signatures.map(({ name }) => name).sort()).toEqual(names.sort())
  })

  it('of puts of different contents under one store path, one is stored, and the others are refused', async () => {
    const outcomes = await Promise.allSettled(
      hundred.map((_, i) =>
        service().put(
          pathInfoOf('00000000000000000000000000000000-dummy', { narSha256: bytes(32, `contents ${i}`) }),
        ),
      ),
    )
    const stored = await service().get(new Uint8Array(20))
    const [winner, ...more] = outcomes.filter(({ status }) => status === 'fulfilled')
    expect(more).toEqual([])
    expect(winner).toMatchObject({ value: stored })
  })
}
