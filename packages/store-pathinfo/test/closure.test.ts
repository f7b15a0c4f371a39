import { StorePath } from '@neve/nix-compat'
import { ClosureSizes, MemoryPathInfoService, type PathInfo, referenceClosure } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { bytes, pathInfoOf } from '../src/contract/path-info-fixtures.js'
import { expectStoreError } from './support.js'

const DUMMY = pathInfoOf('00000000000000000000000000000000-dummy')

function info(name: string, narSize: bigint, references: readonly PathInfo[]): PathInfo {
  const storePath = new StorePath(bytes(20, name), name)
  return { ...DUMMY, storePath, narSize, references: references.map((one) => one.storePath) }
}

/** A diamond with a tail, of which one mentions itself. */
async function diamond() {
  const tail = info('tail', 1n, [])
  const left = info('left', 10n, [tail])
  const right = info('right', 100n, [tail])
  const top = info('top', 1000n, [left, right])
  const itself = { ...top, references: [...top.references, top.storePath] }
  const service = new MemoryPathInfoService()
  for (const one of [tail, left, right, itself]) await service.put(one)
  return { service, tail, left, right, top: itself }
}

describe('closures', () => {
  it('have each path once, references first', async () => {
    const { service, tail, left, right, top } = await diamond()
    const names = async (...roots: PathInfo[]) =>
      (
        await referenceClosure(
          service,
          roots.map((root) => root.storePath),
        )
      ).map(({ storePath }) => storePath.name)
    const all = await names(top)
    expect([...all].sort()).toEqual(['left', 'right', 'tail', 'top'])
    expect([all[0], all[3]]).toEqual(['tail', 'top'])
    expect(await names(left, left, tail)).toEqual(['tail', 'left'])
    expect(await names(right)).toEqual(['tail', 'right'])
    expect(await names()).toEqual([])
  })

  it('have the sum of the sizes of each path once', async () => {
    const { service, tail, left, top } = await diamond()
    const sizes = new ClosureSizes(service)
    expect([await sizes.of(top), await sizes.of(left), await sizes.of(tail)]).toEqual([1111n, 11n, 1n])
  })

  it('that are not whole say what is missing, and who wants it', async () => {
    const { service } = await diamond()
    const missing = info('missing', 1n, [])
    const broken = info('broken', 1n, [missing])
    await service.put(broken)
    const error = await expectStoreError(() => referenceClosure(service, [broken.storePath]), 'not-found')
    expect(error.message).toContain(
      `${missing.storePath}, which ${broken.storePath.toAbsolute()} references,`,
    )
    await expectStoreError(() => new ClosureSizes(service).of(broken), 'not-found')
    const absent = await expectStoreError(() => referenceClosure(service, [missing.storePath]), 'not-found')
    expect(absent.message).toBe(`${missing.storePath.toAbsolute()} is not in the source`)
    // The digest alone does not make a path.
    const renamed = new StorePath(broken.storePath.digest, 'another')
    await expectStoreError(() => referenceClosure(service, [renamed]), 'not-found')
  })

  it('end when nobody wants them any more', async () => {
    const { service, top } = await diamond()
    const signal = AbortSignal.abort(new Error('no'))
    await expect(referenceClosure(service, [top.storePath], { signal })).rejects.toBe(signal.reason)
    await expect(new ClosureSizes(service).of(top, { signal })).rejects.toBe(signal.reason)
  })
})
