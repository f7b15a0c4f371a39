import { Signature } from '@neve/nix-compat'
import type { PathInfoService } from '@neve/store-pathinfo'
import { bytes, randomPathInfo } from '@neve/store-pathinfo/contract'
import { expect } from 'vitest'

/** Has several services over one place, as several processes would be, add a signature each to one path info at once. */
export async function expectAllSignaturesKept(services: readonly PathInfoService[]): Promise<void> {
  const info = { ...randomPathInfo(11), signatures: [] }
  await services[0]!.put(info)
  const names = services.map((_, index) => `key-${index}`)
  await Promise.all(
    services.map((service, index) =>
      service.put({ ...info, signatures: [new Signature(names[index]!, bytes(64, names[index]!))] }),
    ),
  )
  const stored = await services[0]!.get(info.storePath.digest)
  expect(stored?.signatures.map(({ name }) => name).sort()).toEqual([...names].sort())
}
