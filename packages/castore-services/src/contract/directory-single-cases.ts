import { B3Digest, Directory, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { DirectoryService } from '../directory-service.js'
import { sameBytes } from './blob-fixtures.js'
import { A, B, COMPLICATED, closureOf, digestsOf, WITH_KEEP } from './directory-fixtures.js'
import type { KnownDirectoryCapabilities } from './directory-service-contract.js'

/** What `get` and `put` do. */
export function directorySingleCases(
  service: () => DirectoryService,
  capabilities: KnownDirectoryCapabilities,
): void {
  it('03#1 answers for an absent directory without an error', async () => {
    expect(await service().get(A.digest())).toBeUndefined()
    expect(await closureOf(service(), A.digest())).toEqual([])
    expect(await service().get(B.digest())).toBeUndefined()
    expect(await closureOf(service(), B.digest())).toEqual([])
  })

  it('03#2 gives a directory back as it was put', async () => {
    expect((await service().put(A)).equals(A.digest())).toBe(true)
    expect((await service().get(A.digest()))?.equals(A)).toBe(true)
    expect(digestsOf(await closureOf(service(), A.digest()))).toEqual(digestsOf([A]))
  })

  it('puts a directory again without harm', async () => {
    for (let round = 0; round < 3; round++) {
      expect((await service().put(WITH_KEEP)).equals(WITH_KEEP.digest())).toBe(true)
    }
    expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })

  it('keeps names, targets and nodes to the byte', async () => {
    const directory = Directory.fromEntries([
      [
        PathComponent.from(Uint8Array.of(0xff, 0x0a, 0x20)),
        {
          kind: 'file',
          digest: B3Digest.from(new Uint8Array(32).fill(0xab)),
          size: 2n ** 64n - 1n,
          executable: true,
        },
      ],
      [
        PathComponent.from(Uint8Array.of(0x5c)),
        { kind: 'symlink', target: SymlinkTarget.from(Uint8Array.of(0x2e, 0x2e, 0x2f, 0xfe)) },
      ],
      [
        PathComponent.from(new Uint8Array(255).fill(0xe4)),
        { ...WITH_KEEP.toNode(), kind: 'file', executable: false },
      ],
    ])
    await service().put(directory)
    const found = await service().get(directory.digest())
    expect(found !== undefined && sameBytes(found.encode(), directory.encode())).toBe(true)
  })

  it('keeps a directory of ten thousand entries', async () => {
    const node = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false } as const
    const names = Array.from({ length: 10_000 }, (_, index) => PathComponent.from(`entry number ${index}`))
    const directory = Directory.fromEntries(names.map((name) => [name, node] as const))
    await service().put(directory)
    expect((await service().get(directory.digest()))?.equals(directory)).toBe(true)
  })

  if (capabilities.putWithChildren === 'accepted') {
    it('puts a directory whose children are not there', async () => {
      expect((await service().put(COMPLICATED)).equals(COMPLICATED.digest())).toBe(true)
      expect((await service().get(COMPLICATED.digest()))?.equals(COMPLICATED)).toBe(true)
    })
  } else {
    it('03#36 refuses to put a directory with children on its own', async () => {
      await expect(service().put(COMPLICATED)).rejects.toBeInstanceOf(Error)
      expect(await service().get(COMPLICATED.digest())).toBeUndefined()
    })
  }
}
