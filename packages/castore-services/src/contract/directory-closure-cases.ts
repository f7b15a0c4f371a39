import type { Directory } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { RootToLeaves } from '../directory/order.js'
import type { DirectoryService } from '../directory-service.js'
import {
  A,
  B,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  distinctDirectory,
  randomClosure,
  upload,
  WITH_KEEP,
} from './directory-fixtures.js'
import type { KnownDirectoryCapabilities } from './directory-service-contract.js'

/** What comes of a closure that was uploaded (spec 03 section 14). */
export function directoryClosureCases(
  service: () => DirectoryService,
  capabilities: KnownDirectoryCapabilities,
): void {
  it('03#3 gives a closure root first', async () => {
    expect((await upload(service(), A, C)).equals(C.digest())).toBe(true)
    expect((await service().get(C.digest()))?.equals(C)).toBe(true)
    expect(digestsOf(await closureOf(service(), C.digest()))).toEqual(digestsOf([C, A]))
  })

  it('03#4 gives a directory once that was put twice', async () => {
    expect((await upload(service(), A, A, C)).equals(C.digest())).toBe(true)
    expect(digestsOf(await closureOf(service(), C.digest()))).toEqual(digestsOf([C, A]))
  })

  it('03#5 gives a directory once that two others reference', async () => {
    expect((await upload(service(), A, B, D)).equals(D.digest())).toBe(true)
    const found = digestsOf(await closureOf(service(), D.digest()))
    expect([digestsOf([D, B, A]), digestsOf([D, A, B])]).toContainEqual(found)
  })

  it('03#38 gives a closure of two', async () => {
    expect((await upload(service(), A, B)).equals(B.digest())).toBe(true)
    expect(digestsOf(await closureOf(service(), B.digest()))).toEqual(digestsOf([B, A]))
  })

  it('03#9 gives a closure of one', async () => {
    expect((await upload(service(), A)).equals(A.digest())).toBe(true)
    expect(digestsOf(await closureOf(service(), A.digest()))).toEqual(digestsOf([A]))
  })

  it.each([
    ['once', 40],
    ['twice', 40],
    ['once', 400],
  ] as const)(
    'gives any closure whole and in order: sizes counted %s, %d directories',
    async (rule, size) => {
      for (let seed = 0; seed < 5; seed++) {
        const closure = randomClosure(size, seed, rule)
        const root = closure.at(-1)!.digest()
        expect((await upload(service(), ...closure)).equals(root)).toBe(true)
        const order = new RootToLeaves(root)
        const found = await closureOf(service(), root)
        expect(found.map((directory) => order.add(directory))).not.toContain(false)
        expect(digestsOf(found).sort()).toEqual(digestsOf(closure).sort())
        expect(found[0]?.digest().equals(root)).toBe(true)
      }
    },
  )

  it('gives a closure of a thousand levels', async () => {
    const closure: Directory[] = [WITH_KEEP]
    while (closure.length < 1000) closure.push(directoryOf({ down: closure.at(-1)!.toNode() }))
    const root = await upload(service(), ...closure)
    expect(digestsOf(await closureOf(service(), root))).toEqual(digestsOf(closure.toReversed()))
  })

  if (capabilities.intermediates) {
    it('knows the directories below the root', async () => {
      await upload(service(), WITH_KEEP, COMPLICATED)
      expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
      expect(digestsOf(await closureOf(service(), WITH_KEEP.digest()))).toEqual(digestsOf([WITH_KEEP]))
    })
  }

  if (capabilities.putWithChildren === 'accepted') {
    it('gives a closure that was put one by one', async () => {
      for (const directory of [A, B, D]) await service().put(directory)
      expect(digestsOf(await closureOf(service(), D.digest())).sort()).toEqual(digestsOf([A, B, D]).sort())
    })

    it('fails where a directory below the root is missing, after what is there', async () => {
      const missing = distinctDirectory(1)
      const root = directoryOf({ a: A.toNode(), missing: missing.toNode() })
      await service().put(A)
      await service().put(root)
      const found: Directory[] = []
      const collect = async () => {
        for await (const directory of service().getRecursive(root.digest())) found.push(directory)
      }
      await expect(collect()).rejects.toMatchObject({ code: 'data-loss' })
      expect(found[0]?.equals(root)).toBe(true)
      expect(found.length).toBeLessThanOrEqual(2)
    })
  }

  it('asks for nothing before it is iterated, and can be left early', async () => {
    const unused = service().getRecursive(C.digest())
    await upload(service(), A, B, D)
    for await (const directory of service().getRecursive(D.digest())) {
      expect(directory.equals(D)).toBe(true)
      break
    }
    expect(await closureOf(service(), D.digest())).toHaveLength(3)
    // Stored after the call and before the iteration: an eager service would miss it.
    await upload(service(), A, C)
    const late: Directory[] = []
    for await (const directory of unused) late.push(directory)
    expect(digestsOf(late)).toEqual(digestsOf([C, A]))
  })
}
