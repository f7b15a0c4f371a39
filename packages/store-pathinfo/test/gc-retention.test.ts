import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Directory } from '@neve/castore-model'
import { storedBytes } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import { encodeUse } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { type LocalStore, openLocalStore } from '@neve/store-pathinfo'
import { type CollectGarbageOptions, collectGarbage, removeRoot, setRoot } from '@neve/store-pathinfo/gc'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { closureOf, PACKAGES, packageOf, pathInfoOf, pathOf, putTree } from './gc-universe.mjs'
import { temporaryFolder } from './support.js'

const DAY = 86_400_000

async function storeOf(packages: readonly number[]): Promise<string> {
  const folder = join(temporaryFolder(), 'store')
  await using store = await openLocalStore(folder)
  for (const number of new Set(packages.flatMap((one) => closureOf(one)))) {
    await putTree(store, packageOf(number))
    await store.pathInfos.put(pathInfoOf(number))
  }
  return folder
}

/** Says how many days ago each package was used. */
async function setUses(engine: EmbeddedStore, uses: ReadonlyMap<number, number>): Promise<void> {
  const session = engine.write()
  const now = Date.now()
  for (const [number, days] of uses) session.put('used', pathOf(number).digest, encodeUse(now - days * DAY))
  await session.commit()
}

/** What a package is made of, with what it references: each piece by its name, with what its record takes. */
function piecesOf(store: LocalStore, number: number): Map<string, number> {
  const { engine } = store
  const pieces = new Map<string, number>()
  const content = (digest: Uint8Array): void => {
    const at = engine.locate(digest)
    if (at !== undefined) pieces.set(`content ${hex(digest)}`, 52 + at.storedLength)
    const list = engine.get('blobs', digest)
    if (list === undefined) return
    pieces.set(`list ${hex(digest)}`, 61 + list.length)
    for (let i = 0; i < list.length; i += 36) content(list.subarray(i, i + 32))
  }
  const directory = (digest: Uint8Array): void => {
    const encoded = engine.get('directories', digest)!
    pieces.set(`directory ${hex(digest)}`, 61 + encoded.length)
    for (const { node } of Directory.decode(encoded).entries) {
      if (node.kind === 'directory') directory(node.digest.bytes)
      if (node.kind === 'file') content(node.digest.bytes)
    }
  }
  for (const one of closureOf(number)) {
    const { storePath, node } = pathInfoOf(one)
    pieces.set(`info ${storePath}`, 61 + engine.get('pathInfos', storePath.digest)!.length)
    if (node.kind === 'directory') directory(node.digest.bytes)
  }
  return pieces
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The packages that are to stay, by the rule as one would say it. */
function expectedKept(
  store: LocalStore,
  uses: ReadonlyMap<number, number>,
  rooted: readonly number[],
  { days, maxSize }: { readonly days: number | undefined; readonly maxSize: number | undefined },
): Set<number> {
  const kept = new Set<number>(rooted.flatMap((number) => closureOf(number)))
  const pieces = new Map(rooted.flatMap((number) => [...piecesOf(store, number)]))
  const within = days ?? (maxSize === undefined ? -1 : Number.POSITIVE_INFINITY)
  const digestOf = (number: number): string => hex(pathOf(number).digest)
  const order = [...uses.keys()].sort(
    (a, b) => uses.get(a)! - uses.get(b)! || (digestOf(a) < digestOf(b) ? -1 : 1),
  )
  for (const number of order) {
    if (uses.get(number)! > within) break
    for (const [name, bytes] of piecesOf(store, number)) pieces.set(name, bytes)
    const total = [...pieces.values()].reduce((sum, bytes) => sum + bytes, 0)
    if (total > (maxSize ?? Number.POSITIVE_INFINITY)) break
    for (const one of closureOf(number)) kept.add(one)
  }
  return kept
}

it('keeps what was used last, as far as it fits, with all that it references', async () => {
  const folder = await storeOf(Array.from({ length: PACKAGES }, (_, i) => i))
  const all = await (async () => {
    await using store = await openLocalStore(folder, { readOnly: true })
    return storedBytes(store.engine)
  })()
  const numbers = fc.integer({ min: 0, max: PACKAGES - 1 })
  const plans = fc.record({
    // Half a day off, so that no use is just as old as the rule says.
    uses: fc.array(
      fc.integer({ min: 1, max: 40 }).map((day) => day - 0.5),
      { minLength: PACKAGES, maxLength: PACKAGES },
    ),
    rooted: fc.uniqueArray(numbers, { maxLength: 3 }),
    days: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    share: fc.option(fc.double({ min: 0, max: 1.1, noNaN: true }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ uses, rooted, days, share }) => {
      const usesOf = new Map(uses.map((day, number) => [number, day]))
      const maxSize = share === undefined ? undefined : Math.floor(all * share)
      await using store = await openLocalStore(folder)
      await setUses(store.engine, usesOf)
      for (const number of rooted) await setRoot(store.engine, { name: `${number}`, target: pathOf(number) })
      const keepUsedWithin = days === undefined ? undefined : days * DAY
      const options: CollectGarbageOptions = { dryRun: true, all: true, keepUsedWithin, maxSize }
      const { paths, reasons, keptPaths } = await collectGarbage(folder, options)
      for (const number of rooted) await removeRoot(store.engine, `${number}`)
      const kept = expectedKept(store, usesOf, rooted, { days, maxSize })
      const gone = [...usesOf.keys()].filter((number) => !kept.has(number))
      expect(paths.map(String).sort()).toEqual(gone.map((number) => String(pathOf(number))).sort())
      expect(keptPaths).toBe(kept.size)
      const within = days ?? (maxSize === undefined ? -1 : Number.POSITIVE_INFINITY)
      const unused = gone.filter((number) => usesOf.get(number)! > within)
      expect(reasons.filter(({ reason }) => reason === 'unused')).toHaveLength(unused.length)
    }),
    { numRuns: 60 },
  )
}, 120_000)

it('leaves no more than is to be kept, and makes as much room as it is asked for', async () => {
  const folder = join(temporaryFolder(), 'store')
  const file = join(temporaryFolder(), 'file')
  const paths: StorePath[] = []
  const stored = async () => {
    await using store = await openLocalStore(folder)
    return [
      storedBytes(store.engine),
      paths.map((path) => store.engine.has('pathInfos', path.digest)),
    ] as const
  }
  {
    await using store = await openLocalStore(folder)
    for (let days = 1; days <= 8; days++) {
      writeFileSync(file, randomBytes(100_000))
      const { storePath } = await store.importPath(file)
      paths.push(storePath)
      const session = store.engine.write()
      session.put('used', storePath.digest, encodeUse(Date.now() - days * DAY))
      await session.commit()
    }
    await setRoot(store.engine, { name: 'oldest', target: paths[7]! })
  }
  const [before] = await stored()
  expect(await collectGarbage(folder, { maxSize: before })).toMatchObject({ removed: 0, paths: [] })
  const collected = await collectGarbage(folder, { maxSize: Math.floor(before * 0.8) })
  expect(collected.reasons.map(({ storePath, reason }) => [storePath, reason]).sort()).toEqual(
    [paths[5], paths[6]].map((path) => [path, 'size']).sort(),
  )
  const [after, there] = await stored()
  expect(after).toBeLessThanOrEqual(before * 0.8)
  expect(there).toEqual([true, true, true, true, true, false, false, true])
  await collectGarbage(folder, { makeRoom: 150_000 })
  expect(await stored()).toEqual([expect.any(Number), [true, true, true, ...Array(4).fill(false), true]])
  // More than there is: what has a root stays.
  await collectGarbage(folder, { makeRoom: 2 ** 40 })
  expect((await stored())[1]).toEqual([...Array(7).fill(false), true])
})

it('keeps what was stored within the hour, whatever its size', async () => {
  const folder = await storeOf([5])
  expect(await collectGarbage(folder, { maxSize: 0 })).toMatchObject({ paths: [], removed: 0 })
  expect((await collectGarbage(folder, { maxSize: 0, olderThan: 0 })).paths).toHaveLength(closureOf(5).length)
})
