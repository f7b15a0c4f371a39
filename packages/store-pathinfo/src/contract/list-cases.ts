import { compareBytes } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { PathInfo } from '../path-info.js'
import type { PathInfoService } from '../path-info-service.js'
import { pathInfoOf, randomPathInfo } from './path-info-fixtures.js'
import { listed } from './use-path-infos.js'

const byDigest = (a: PathInfo, b: PathInfo) => compareBytes(a.storePath.digest, b.storePath.digest)

export function listCases(service: () => PathInfoService, list: boolean): void {
  if (!list) {
    it('is refused', async () => {
      await expect(listed(service())).rejects.toMatchObject({ code: 'unsupported' })
    })
    return
  }

  const infos = Array.from({ length: 40 }, (_, i) => randomPathInfo(i + 1)).sort(byDigest)
  const fill = () => Promise.all(infos.map((info) => service().put(info)))

  it('an empty service lists nothing', async () => {
    expect(await listed(service())).toEqual([])
    expect(await listed(service(), { limit: 3 })).toEqual([])
  })

  it('07#24 lists exactly what was put', async () => {
    const info = pathInfoOf('00000000000000000000000000000000-dummy')
    await service().put(info)
    await service().put(info)
    expect(await listed(service())).toEqual([info])
  })

  it('everything once', async () => {
    await fill()
    expect((await listed(service())).sort(byDigest)).toEqual(infos)
  })

  it.each([1, 7, 39, 40, 41])('in pages of %i, each after the last one, in order', async (limit) => {
    await fill()
    const pages: PathInfo[][] = []
    let after: Uint8Array | undefined
    do {
      const page = await listed(service(), { limit, after })
      pages.push(page)
      after = page.at(-1)?.storePath.digest
    } while (after !== undefined)
    expect(pages.flat()).toEqual(infos)
    expect(pages.slice(0, -2).every((page) => page.length === limit)).toBe(true)
  })

  it('a page of none', async () => {
    await fill()
    expect(await listed(service(), { limit: 0 })).toEqual([])
  })

  it('after the last one there is nothing', async () => {
    await fill()
    expect(await listed(service(), { after: infos.at(-1)!.storePath.digest })).toEqual([])
    expect(await listed(service(), { after: new Uint8Array(20).fill(0xff) })).toEqual([])
  })

  it('by the beginning of the store path', async () => {
    await fill()
    const [some] = infos as [PathInfo]
    const name = some.storePath.toString()
    for (const length of [1, 2, 31, 32, 33, 35, name.length]) {
      const prefix = name.slice(0, length)
      const expected = infos.filter(({ storePath }) => storePath.toString().startsWith(prefix))
      expect((await listed(service(), { prefix })).sort(byDigest)).toEqual(expected)
    }
    expect(await listed(service(), { prefix: `${name}x` })).toEqual([])
    expect(await listed(service(), { prefix: '!' })).toEqual([])
  })

  it('prefix and page together', async () => {
    await fill()
    const prefix = infos[20]!.storePath.toString().slice(0, 1)
    const expected = infos.filter(({ storePath }) => storePath.toString().startsWith(prefix))
    const first = await listed(service(), { prefix, limit: 1 })
    expect(first).toEqual(expected.slice(0, 1))
    const rest = await listed(service(), { prefix, after: first[0]!.storePath.digest, limit: 100 })
    expect(rest).toEqual(expected.slice(1))
  })

  it('can be left early, and begun again', async () => {
    await fill()
    for await (const _info of service().list()) break
    expect(await listed(service())).toHaveLength(infos.length)
  })

  it.each([-1, 0.5, Number.NaN])('a limit of %d is refused', async (limit) => {
    await expect(listed(service(), { limit })).rejects.toMatchObject({ code: 'invalid-input' })
  })

  it('a digest of another length is refused', async () => {
    const after = new Uint8Array(19)
    await expect(listed(service(), { after })).rejects.toMatchObject({ code: 'invalid-input' })
  })
}
