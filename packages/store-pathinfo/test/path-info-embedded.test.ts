import { B3Digest } from '@neve/castore-model'
import { Signature, StorePath } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { expectStoreError, temporaryStore } from './support.js'

describe('path infos', () => {
  const storePath = StorePath.parse('00000000000000000000000000000000-dummy')
  const info: PathInfo = {
    storePath,
    node: { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false },
    references: [storePath],
    narSize: 112n,
    narSha256: new Uint8Array(32).fill(1),
    signatures: [new Signature('a', new Uint8Array(64))],
    deriver: storePath,
    ca: undefined,
  }

  it('are kept, listed, and found by digest', async () => {
    const { pathInfos, engine } = await temporaryStore()
    expect(await pathInfos.get(storePath.digest)).toBeUndefined()
    expect(await pathInfos.has(storePath.digest)).toBe(false)
    expect(await pathInfos.put(info)).toEqual(info)
    expect(await pathInfos.has(storePath.digest)).toBe(true)
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
    const other = { ...info, storePath: StorePath.parse('00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools') }
    await pathInfos.put(other)
    const listed: string[] = []
    for await (const { storePath } of pathInfos.list()) listed.push(storePath.name)
    expect(listed).toEqual(['dummy', 'net-tools'])
    expect(engine.count('pathInfos')).toBe(2)
  })

  it('DESIGN decision 12: with the same NAR hash, signatures are merged and nothing is lost', async () => {
    const { pathInfos } = await temporaryStore()
    await pathInfos.put(info)
    const second = new Signature('b', new Uint8Array(64))
    const sparse = { ...info, references: [], deriver: undefined, signatures: [second, info.signatures[0]!] }
    const merged = { ...info, signatures: [info.signatures[0]!, second] }
    expect(await pathInfos.put(sparse)).toEqual(merged)
    expect(await pathInfos.get(storePath.digest)).toEqual(merged)
  })

  it('DESIGN decision 12: with another NAR hash, or another name, it already exists', async () => {
    const { pathInfos } = await temporaryStore()
    await pathInfos.put(info)
    await expectStoreError(
      () => pathInfos.put({ ...info, narSha256: new Uint8Array(32).fill(2) }),
      'already-exists',
    )
    const renamed = new StorePath(storePath.digest, 'other')
    await expectStoreError(() => pathInfos.put({ ...info, storePath: renamed }), 'already-exists')
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
  })

  it('a damaged one is data loss, until it is put again', async () => {
    const { pathInfos, engine } = await temporaryStore()
    await pathInfos.put(info)
    const session = engine.write()
    session.put('pathInfos', storePath.digest, Uint8Array.of(1, 2, 3))
    await session.commit()
    await expectStoreError(() => pathInfos.get(storePath.digest), 'data-loss')
    await expectStoreError(async () => {
      for await (const _ of pathInfos.list()) expect.unreachable()
    }, 'data-loss')
    await pathInfos.put(info)
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
  })
})
