import type { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { DirectoryService } from '../directory-service.js'
import { COMPLICATED, closureOf, upload, WITH_KEEP } from './directory-fixtures.js'

/** What becomes of stored directories that are wrong (DESIGN decisions 9 and 10). */
export function directoryDamageCases(
  service: () => DirectoryService,
  damage: (digest: B3Digest) => Promise<void>,
): void {
  it('never gives a wrong directory', async () => {
    await upload(service(), WITH_KEEP, COMPLICATED)
    await damage(COMPLICATED.digest())
    const loss = { code: 'data-loss' }
    await expect(service().get(COMPLICATED.digest())).rejects.toMatchObject(loss)
    await expect(closureOf(service(), COMPLICATED.digest())).rejects.toMatchObject(loss)
  })

  it('heals when it is put or uploaded again', async () => {
    await service().put(WITH_KEEP)
    await damage(WITH_KEEP.digest())
    await service().put(WITH_KEEP)
    expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)

    await upload(service(), WITH_KEEP, COMPLICATED)
    await damage(COMPLICATED.digest())
    await upload(service(), WITH_KEEP, COMPLICATED)
    expect(await closureOf(service(), COMPLICATED.digest())).toHaveLength(2)
  })
}
