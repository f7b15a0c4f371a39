import { Signature } from '@neve/nix-compat'
import { expect, it } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'
import { bytes, pathInfoOf, randomPathInfo } from './path-info-fixtures.js'

const DUMMY = pathInfoOf('00000000000000000000000000000000-dummy')
const signed = (...names: string[]) => names.map((name) => new Signature(name, bytes(64, name)))

export function putCases(service: () => PathInfoService, overwrite: boolean): void {
  it('07#23 what is not there is not there', async () => {
    expect(await service().get(new Uint8Array(20))).toBeUndefined()
    expect(await service().has(new Uint8Array(20))).toBe(false)
  })

  it('07#24 what was put is there, and is what was put', async () => {
    expect(await service().put(DUMMY)).toEqual(DUMMY)
    expect(await service().get(DUMMY.storePath.digest)).toEqual(DUMMY)
    expect(await service().has(DUMMY.storePath.digest)).toBe(true)
    expect(await service().get(bytes(20, 'else'))).toBeUndefined()
  })

  it('all that a path info can say is kept', async () => {
    const infos = Array.from({ length: 35 }, (_, i) => randomPathInfo(i + 1))
    const huge = { ...randomPathInfo(100), narSize: 2n ** 64n - 1n }
    for (const info of [...infos, huge]) {
      expect(await service().put(info)).toEqual(info)
      expect(await service().get(info.storePath.digest)).toEqual(info)
    }
  })

  it('the same again changes nothing', async () => {
    const info = randomPathInfo(2)
    await service().put(info)
    expect(await service().put(info)).toEqual(info)
    expect(await service().get(info.storePath.digest)).toEqual(info)
  })

  it('signatures of the same contents are merged, each there once', async () => {
    await service().put({ ...DUMMY, signatures: signed('a', 'b') })
    const merged = await service().put({ ...DUMMY, signatures: signed('b', 'c') })
    expect(merged.signatures).toEqual(signed('a', 'b', 'c'))
    expect(await service().get(DUMMY.storePath.digest)).toEqual(merged)
    expect(await service().put(DUMMY)).toEqual(merged)
  })

  it('what the second one does not say is kept, what it says too is taken', async () => {
    const whole = randomPathInfo(4)
    const { storePath, node, narSize, narSha256 } = whole
    await service().put(whole)
    const sparse = { ...DUMMY, storePath, node, narSize, narSha256 }
    expect(await service().put(sparse)).toEqual(whole)
    const other = randomPathInfo(6)
    const changed = { ...whole, deriver: other.deriver, ca: other.ca }
    expect(await service().put(changed)).toEqual(changed)
    expect(await service().get(storePath.digest)).toEqual(changed)
  })

  it('other contents under the same store path are refused', async () => {
    await service().put(DUMMY)
    const other = { ...DUMMY, narSha256: bytes(32, 'other'), signatures: signed('a') }
    await expect(service().put(other)).rejects.toMatchObject({ code: 'already-exists' })
    expect(await service().get(DUMMY.storePath.digest)).toEqual(DUMMY)
  })

  it('the same digest under another name is refused', async () => {
    await service().put(DUMMY)
    const other = pathInfoOf('00000000000000000000000000000000-other', { narSha256: DUMMY.narSha256 })
    await expect(service().put(other)).rejects.toMatchObject({ code: 'already-exists' })
    expect(await service().get(DUMMY.storePath.digest)).toEqual(DUMMY)
  })

  it(
    overwrite ? 'other contents replace what is there when asked to' : 'overwriting is refused',
    async () => {
      await service().put({ ...DUMMY, signatures: signed('a') })
      const other = { ...DUMMY, narSha256: bytes(32, 'other'), signatures: signed('b') }
      const putting = service().put(other, { overwrite: true })
      if (overwrite) {
        expect(await putting).toEqual(other)
        expect(await service().get(DUMMY.storePath.digest)).toEqual(other)
      } else await expect(putting).rejects.toMatchObject({ code: 'unsupported' })
    },
  )

  it.each([0, 19, 21, 32])('a digest of %i bytes is refused', async (length) => {
    const digest = new Uint8Array(length)
    await expect(service().get(digest)).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(service().has(digest)).rejects.toMatchObject({ code: 'invalid-input' })
  })
}
