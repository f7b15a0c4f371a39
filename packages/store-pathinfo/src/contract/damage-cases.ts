import { expect, it } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'
import { randomPathInfo } from './path-info-fixtures.js'
import { listed } from './use-path-infos.js'

export function damageCases(
  service: () => PathInfoService,
  list: boolean,
  damage: (digest: Uint8Array) => Promise<void>,
): void {
  const info = randomPathInfo(3)
  const { digest } = info.storePath

  it('is told, and healed by putting it again', async () => {
    await service().put(info)
    await damage(digest)
    await expect(service().get(digest)).rejects.toMatchObject({ code: 'data-loss' })
    expect(await service().put(info)).toEqual(info)
    expect(await service().get(digest)).toEqual(info)
  })

  if (!list) return
  it('ends a list', async () => {
    await service().put(info)
    await damage(digest)
    await expect(listed(service())).rejects.toMatchObject({ code: 'data-loss' })
  })
}
