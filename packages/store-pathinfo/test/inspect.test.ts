import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import type { DirectoryService } from '@neve/castore-services'
import { removeRoot, setRoot } from '@neve/store-pathinfo/gc'
import { diskUsage, keptBy, storeInfo, TreeDiff, type TreeDifference } from '@neve/store-pathinfo/inspect'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noise } from './host-trees.js'
import { addDiamond, addPath, namedPath } from './push-fixture.js'
import { expectStoreError, memoryServices, temporaryFolder, temporaryStore } from './support.js'

/** How often a service was asked for a directory. */
function counting(directories: DirectoryService) {
  const reads = { count: 0 }
  const get: DirectoryService['get'] = (digest, options) => {
    reads.count++
    return directories.get(digest, options)
  }
  return { reads, directories: { get } as DirectoryService }
}

async function differencesOf(diff: TreeDiff, before: Node, after: Node): Promise<TreeDifference[]> {
  const found: TreeDifference[] = []
  for await (const difference of diff.differences(before, after)) found.push(difference)
  return found
}

const shortly = ({ kind, path }: TreeDifference): string => `${kind} ${Buffer.from(path)}`

describe('the difference of two trees', () => {
  it('of 100,000 files that differ in one is found with fewer than 100 directories read', async () => {
    const { blobs, directories } = memoryServices()
    const entry = (name: string, node: Node) => ({ name: PathComponent.from(Buffer.from(name)), node })
    const file = (content: string): Node => {
      const digest = B3Digest.of(Buffer.from(content))
      return { kind: 'file', digest, size: BigInt(content.length), executable: false }
    }
    // Ten folders of ten folders of ten folders of 100 files.
    const tree = async (path: string, depth: number, odd: string): Promise<Node> => {
      const count = depth === 3 ? 100 : 10
      const entries = []
      for (let i = 0; i < count; i++) {
        const name = `${path}/${String(i).padStart(2, '0')}`
        const node = depth === 3 ? file(name === odd ? 'odd' : name) : await tree(name, depth + 1, odd)
        entries.push(entry(String(i).padStart(2, '0'), node))
      }
      const directory = Directory.fromEntries(entries)
      await directories.put(directory)
      return directory.toNode()
    }
    const before = await tree('', 0, '')
    const after = await tree('', 0, '/07/03/09/42')
    const counted = counting(directories)
    const diff = new TreeDiff({ blobs, directories: counted.directories })
    expect((await differencesOf(diff, before, after)).map(shortly)).toEqual(['changed 07/03/09/42'])
    expect(await diff.totals()).toMatchObject({ directoriesRead: 8, removedBytes: 12n, addedBytes: 3n })
    expect(counted.reads.count).toBe(8)
  })

  it('names each kind, and counts what is known of what was added', async () => {
    const store = await temporaryStore()
    const [one, other] = [temporaryFolder(), temporaryFolder()]
    const content = noise(3_000_000, 3)
    for (const folder of [one, other]) {
      mkdirSync(join(folder, 'same'))
      writeFileSync(join(folder, 'same/file'), 'in both')
    }
    mkdirSync(join(one, 'gone'))
    writeFileSync(join(one, 'gone/file'), 'only here')
    writeFileSync(join(one, 'large'), content)
    writeFileSync(join(one, 'type'), 'a file')
    writeFileSync(join(one, 'x'), 'program')
    // The first megabytes are in chunks that do not change.
    writeFileSync(join(other, 'large'), Buffer.concat([content.subarray(0, 2_900_000), Buffer.from('other')]))
    mkdirSync(join(other, 'type'))
    writeFileSync(join(other, 'x'), 'program', { mode: 0o755 })
    writeFileSync(join(other, 'moved'), 'only here')
    const [before, after] = [await store.importPath(one), await store.importPath(other)]
    const diff = new TreeDiff(store, { shared: true })
    expect((await differencesOf(diff, before.node, after.node)).map(shortly)).toEqual([
      'removed gone',
      'changed large',
      'added moved',
      'type-changed type',
      'executable x',
    ])
    const totals = await diff.totals()
    expect(totals).toMatchObject({
      removedBytes: 9n + 3_000_000n + 6n,
      addedBytes: 2_900_005n + 9n,
      sharedBytes: 7n + 7n,
    })
    expect(Number(totals.reusedBytes)).toBeGreaterThan(2_000_000)
    expect(totals.reusedBytes).toBeLessThan(totals.addedBytes)
  })

  it('is what a walk through both finds, whatever they are', async () => {
    const { blobs, directories } = memoryServices()
    type Shape = string | { link: string } | { [name: string]: Shape }
    const name = fc.constantFrom('a', 'b', 'c', 'd')
    const { tree } = fc.letrec<{ tree: Shape; shape: Shape }>((tie) => ({
      shape: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom('', '1', '2'),
        fc.record({ link: name }),
        tie('tree'),
      ),
      tree: fc.dictionary(name, tie('shape'), { maxKeys: 4 }) as fc.Arbitrary<Shape>,
    }))
    const nodeOf = async (shape: Shape): Promise<Node> => {
      if (typeof shape === 'string') {
        const bytes = Buffer.from(shape)
        return { kind: 'file', digest: await blobs.put(bytes), size: BigInt(bytes.length), executable: false }
      }
      if (typeof shape['link'] === 'string' && Object.keys(shape).length === 1) {
        return { kind: 'symlink', target: SymlinkTarget.from(Buffer.from(shape['link'])) }
      }
      const entries = []
      for (const [key, below] of Object.entries(shape)) {
        entries.push({ name: PathComponent.from(Buffer.from(key)), node: await nodeOf(below) })
      }
      const directory: Directory = Directory.fromEntries(entries)
      await directories.put(directory)
      return directory.toNode()
    }
    const places = async (node: Node, path = '', found = new Map<string, string>()) => {
      if (node.kind === 'directory') {
        found.set(path, 'directory')
        for (const { name, node: below } of (await directories.get(node.digest))!.entries) {
          await places(below, `${path}/${name}`, found)
        }
      } else found.set(path, node.kind === 'file' ? node.digest.key : `to ${node.target}`)
      return found
    }
    await fc.assert(
      fc.asyncProperty(tree, tree, async (left, right) => {
        const [before, after] = [await nodeOf(left), await nodeOf(right)]
        const told = await differencesOf(new TreeDiff({ blobs, directories }), before, after)
        const [one, other] = [await places(before), await places(after)]
        const differ = [...new Set([...one.keys(), ...other.keys()])].filter(
          (at) => one.get(at) !== other.get(at),
        )
        const top = told.map(({ path }) => (path.length === 0 ? '' : `/${Buffer.from(path)}`))
        // All that is told differs, and all that differs is told, or stands below what is.
        expect(top.filter((at) => !differ.includes(at))).toEqual([])
        expect(
          differ.filter((at) => !top.some((above) => at === above || at.startsWith(`${above}/`))),
        ).toEqual([])
      }),
    )
  })
})

describe('what a store holds', () => {
  it('is counted, and what is equal once', async () => {
    const store = await temporaryStore()
    const [one, other] = [temporaryFolder(), temporaryFolder()]
    for (const folder of [one, other]) writeFileSync(join(folder, 'large'), noise(2_000_000, 5))
    writeFileSync(join(other, 'small'), noise(1000, 6))
    const [first, second] = [await store.importPath(one), await store.importPath(other)]
    const info = await storeInfo(store.engine, { top: 1 })
    const chunks = (await store.blobs.chunks(blobOf(noise(2_000_000, 5))))!.length
    expect(info).toMatchObject({
      pathInfos: 2,
      directories: 2,
      blobs: 2,
      chunkedBlobs: 1,
      chunks,
      logicalBytes: first.pathInfo.narSize + second.pathInfo.narSize,
      blobBytes: 2_001_000n,
      uniqueBytes: 2_001_000n,
      damagedPathInfos: 0,
    })
    expect(info.storedBytes).toBeLessThanOrEqual(info.segmentBytes)
    expect(info.largest.map(({ storePath }) => storePath.toString())).toEqual([second.storePath.toString()])
  })

  it('is told of each path: alone, with its closure, and what only it needs', async () => {
    const store = await temporaryStore()
    const { base, left, right, top } = await addDiamond(store)
    const [ofTop, ofLeft] = await diskUsage(store.engine, [top.storePath, left.storePath])
    expect([ofTop!.closurePaths, ofLeft!.closurePaths]).toEqual([4, 2])
    const own = async (info: typeof base) => (await diskUsage(store.engine, [info.storePath]))[0]!.own.bytes
    expect(ofTop!.closure.bytes).toBeLessThanOrEqual(
      (await own(base)) + (await own(left)) + (await own(right)) + (await own(top)),
    )
    expect(ofTop!.closure.bytes).toBeGreaterThan(ofTop!.own.bytes)
    const [one, other] = [temporaryFolder(), temporaryFolder()]
    writeFileSync(join(one, 'alone'), noise(1000, 21))
    writeFileSync(join(one, 'together'), noise(2000, 22))
    writeFileSync(join(other, 'together'), noise(2000, 22))
    const [first, second] = [await store.importPath(one), await store.importPath(other)]
    const sizes = (await diskUsage(store.engine, [first.storePath, second.storePath])).map(
      ({ own, unique }) => [own.bytes, unique.bytes],
    )
    expect(sizes).toEqual([
      [3000n, 1000n],
      [2000n, 0n],
    ])
    // The same tree under two names is unique to none of them.
    await store.pathInfos.put({ ...first.pathInfo, storePath: namedPath('twin') })
    const [again] = await diskUsage(store.engine, [first.storePath])
    expect(again!.unique).toEqual({ bytes: 0n, storedBytes: 0n })
    const [node] = await diskUsage(store.engine, [top.node])
    expect([node!.own, node!.closurePaths]).toEqual([ofTop!.own, 0])
    await expectStoreError(() => diskUsage(store.engine, [namedPath('absent')]), 'not-found')
  })

  it('and why it stays: the shortest chain from each root', async () => {
    const store = await temporaryStore()
    const { base, left, top } = await addDiamond(store)
    const over = await addPath(store, 'over', [top])
    const chains = async () =>
      (await keptBy(store.engine, base.storePath)).roots.map(({ root, chain }) => [
        root.name,
        ...chain.map(({ name }) => name),
      ])
    expect(await chains()).toEqual([])
    await setRoot(store.engine, { name: 'a', target: over.storePath })
    await setRoot(store.engine, { name: 'b', target: left.storePath })
    await setRoot(store.engine, { name: 'c', target: base.storePath })
    const middle = (await chains())[0]![3]
    expect(['left', 'right']).toContain(middle)
    expect(await chains()).toEqual([
      ['a', 'over', 'top', middle, 'base'],
      ['b', 'left', 'base'],
      ['c', 'base'],
    ])
    await removeRoot(store.engine, 'a')
    const kept = await keptBy(store.engine, base.storePath)
    expect(kept.roots.map(({ root }) => root.name)).toEqual(['b', 'c'])
    expect(kept.referrers.map(({ name }) => name).sort()).toEqual(['left', 'right'])
    expect(kept.lastUsed).toBeGreaterThan(Date.now() - 3_600_000)
    // A path that references itself is not its own referrer.
    expect((await keptBy(store.engine, top.storePath)).referrers.map(({ name }) => name)).toEqual(['over'])
    await expectStoreError(() => keptBy(store.engine, namedPath('absent')), 'not-found')
  })
})

function blobOf(content: Uint8Array) {
  return B3Digest.of(content)
}
