import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { CastoreError } from '@neve/castore-services'
import { NixHash } from '@neve/nix-compat'
import { allPathDigests, type LocalStore, openStore, Store, verifyPaths } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { files, httpServer } from './http-server.js'
import { makeCache } from './nix-cache.js'
import { namedPath } from './push-fixture.js'
import { collect, failureOf, temporaryFolder, temporaryStore } from './support.js'
import { copied, faultsOf, fillSample, type Sample } from './verify-fixture.js'

/** Puts something else under the digest of a directory or path info. */
async function overwrite(
  store: LocalStore,
  table: 'directories' | 'pathInfos',
  key: Uint8Array,
): Promise<void> {
  const session = store.engine.write()
  session.put(table, key, Buffer.from('something else'))
  await session.commit()
}

/** The files below a folder, with a hash of each. */
function contentsOf(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const path = join(folder, name)
    if (!statSync(path).isFile()) continue
    found.set(name, createHash('sha256').update(readFileSync(path)).digest('hex'))
  }
  return found
}

describe('a sound store', () => {
  it('has no damage, and what is shared is read once', async () => {
    const { store, info, other } = await fillSample(await temporaryStore())
    await store.pathInfos.put({ ...info, storePath: namedPath('again') })
    const verified = []
    for await (const path of verifyPaths(store, allPathDigests(store), { nar: true, concurrency: 1 })) {
      verified.push(path)
    }
    expect(verified.flatMap(({ damages }) => damages)).toEqual([])
    expect(verified.map(({ storePath }) => storePath?.name).sort()).toEqual([
      ...['again', 'other', 'other', 'sample'],
    ])
    const one = []
    for await (const path of verifyPaths(store, [info.storePath, other.storePath])) one.push(path)
    expect(one[0]).toMatchObject({ directories: 2, blobs: 3, bytes: 2_003_000 })
  })
})

type Break = (sample: Sample) => Promise<void> | void

/** What is done to an embedded store, and what is found then. */
const EMBEDDED: readonly (readonly [string, Break, (sample: Sample) => string[]])[] = [
  [
    'a flipped bit in a small blob',
    ({ store, small }) => damage(store, small.digest),
    ({ small }) => [`sample/keep/small blob-damaged ${small.digest.toHex()}`],
  ],
  [
    'a flipped bit in a chunk',
    ({ store, chunks }) => damage(store, chunks[2]!),
    ({ chunks }) => [`sample/large chunk-damaged ${chunks[2]!.toHex()}`],
  ],
  [
    'two chunks and a small blob',
    ({ store, chunks, small }) => {
      for (const digest of [chunks[0]!, chunks[3]!, small.digest]) damage(store, digest)
    },
    ({ chunks, small }) =>
      [
        `sample/large chunk-damaged ${chunks[0]!.toHex()}`,
        `sample/large chunk-damaged ${chunks[3]!.toHex()}`,
        `sample/keep/small blob-damaged ${small.digest.toHex()}`,
      ].sort(),
  ],
  [
    'a list of chunks that is none',
    async ({ store, large }) => {
      const session = store.engine.write()
      session.put('blobs', large.digest.bytes, Buffer.from('no list at all'))
      await session.commit()
    },
    ({ large }) => [`sample/large chunk-list-damaged ${large.digest.toHex()}`],
  ],
  [
    'a list of the chunks of another blob',
    async ({ store, large }) => {
      const list = store.engine.get('blobs', large.digest.bytes)!
      const session = store.engine.write()
      session.put('blobs', large.digest.bytes, list.subarray(list.length % 2, -36))
      await session.commit()
    },
    ({ large }) => [`sample/large chunk-list-damaged ${large.digest.toHex()}`],
  ],
  [
    'a directory that is another',
    ({ store, keep }) => overwrite(store, 'directories', keep.bytes),
    ({ keep }) => [`sample/keep directory-damaged ${keep.toHex()}`],
  ],
  [
    'a root that is another, and a blob below it',
    async ({ store, root, small }) => {
      await overwrite(store, 'directories', root.bytes)
      damage(store, small.digest)
    },
    // What is below a directory that nobody can read cannot be told.
    ({ root }) => [`sample directory-damaged ${root.toHex()}`],
  ],
  [
    'a path info that is none',
    ({ store, info }) => overwrite(store, 'pathInfos', info.storePath.digest),
    () => ['? path-info-damaged'],
  ],
]

describe.each(EMBEDDED)('%s, in an embedded store', (_name, doBreak, expected) => {
  it('is told exactly, and mended; nothing else is touched', async () => {
    const backup = await temporaryStore()
    const sample = await fillSample(await temporaryStore())
    const { store, info, other } = sample
    await copied(sample, backup)
    const segments = join(store.engine.path, 'segments')
    const nar = await collect(store.nar(info.storePath))
    await doBreak(sample)
    const broken = contentsOf(segments)
    expect(await faultsOf(store)).toEqual(expected(sample))
    expect(contentsOf(segments)).toEqual(broken)

    const mended = await faultsOf(store, { repairFrom: [backup] })
    expect(mended).toEqual(expect.arrayContaining(expected(sample).map((fault) => `${fault}!`)))
    expect(mended.every((fault) => fault.endsWith('!'))).toBe(true)
    expect(await faultsOf(store, { nar: true })).toEqual([])
    expect((await collect(store.nar(info.storePath))).equals(nar)).toBe(true)
    expect((await store.pathInfos.get(other.storePath.digest))?.node).toEqual(other.node)
    // What is written goes behind the rest, or into a new file.
    const after = contentsOf(segments)
    expect([...broken].filter(([name, hash]) => after.get(name) !== hash).length).toBeLessThan(2)
  })
})

describe('an object store', () => {
  const object = (folder: string, digest: B3Digest): string => {
    const hex = digest.toHex()
    return join(folder, 'b3', hex.slice(0, 4), hex)
  }

  it.each([
    ['a chunk that is gone', 'chunks', 1, 'sample/large chunk-missing'],
    ['a chunk that is cut', 'chunks', 2, 'sample/large chunk-damaged'],
    ['the list of a blob that is gone', 'blobs', 0, 'sample/large blob-missing'],
    ['a closure of directories that is gone', 'dirs', 0, 'sample directory-missing'],
    ['a closure of directories that is cut', 'dirs', 1, 'sample directory-damaged'],
  ])('%s is told exactly, and mended; no other object is touched', async (name, kind, which, expected) => {
    const sample = await fillSample(await temporaryStore())
    const bucket = join(temporaryFolder(), 'bucket')
    const address = `objectstore+file://${bucket}`
    {
      await using store = await openStore(address)
      await copied(sample, store)
    }
    await using before = await openStore(address)
    const chunks = (await before.blobs.chunks(sample.large.digest))!
    const digest =
      kind === 'chunks' ? chunks[which]!.digest : kind === 'blobs' ? sample.large.digest : sample.root
    const path = object(join(bucket, kind), digest)
    const sound = contentsOf(bucket)
    if (name.endsWith('cut')) truncateSync(path, statSync(path).size >> 1)
    else rmSync(path)
    await using store = await openStore(address)
    expect(await faultsOf(store)).toEqual([`${expected} ${digest.toHex()}`])
    await using mending = await openStore(address)
    expect(await faultsOf(mending, { repairFrom: [sample.store] })).toEqual([
      `${expected} ${digest.toHex()}!`,
    ])
    await using after = await openStore(address)
    expect(await faultsOf(after, { nar: true })).toEqual([])
    expect(contentsOf(bucket)).toEqual(sound)
  })
})

describe('path infos', () => {
  it('that promise another NAR are found with nar, and replaced by sound ones', async () => {
    const backup = await temporaryStore()
    const sample = await fillSample(await temporaryStore())
    const { store, info, other } = sample
    await copied(sample, backup)
    await store.pathInfos.put({ ...info, node: other.node }, { overwrite: true })
    expect(await faultsOf(store)).toEqual([])
    expect(await faultsOf(store, { nar: true })).toEqual(['sample nar-mismatch'])
    expect(await faultsOf(store, { nar: true, repairFrom: [store] })).toEqual(['sample nar-mismatch'])
    expect(await faultsOf(store, { nar: true, repairFrom: [backup] })).toEqual(['sample nar-mismatch!'])
    expect(await store.pathInfos.get(info.storePath.digest)).toEqual(info)
  })

  it('that reference what is not there', async () => {
    const backup = await temporaryStore()
    const sample = await fillSample(await temporaryStore())
    await copied(sample, backup)
    const store = await temporaryStore()
    const { info, other } = sample
    const { node } = await store.importPath(import.meta.filename)
    const measure = await store.measureNar(node)
    await store.pathInfos.put({
      ...other,
      storePath: namedPath('top'),
      node,
      ...measure,
      references: [info.storePath],
    })
    expect(await faultsOf(store)).toEqual([])
    expect(await faultsOf(store, { references: true })).toEqual(['top reference-missing'])
    const mended = await faultsOf(store, { references: true, repairFrom: [backup] })
    expect(mended).toEqual(['top reference-missing!'])
    expect((await collect(store.nar(info.storePath))).length).toBe(Number(info.narSize))
  })

  it('that are not there at all', async () => {
    const store = await temporaryStore()
    const absent = namedPath('absent')
    const found = []
    for await (const path of verifyPaths(store, [absent])) found.push(...path.damages)
    expect(found).toMatchObject([
      { kind: 'path-info-missing', detail: `${absent.toAbsolute()} is not in the store`, repaired: false },
    ])
  })
})

describe('sources', () => {
  it('a binary cache over HTTP mends what is damaged', async () => {
    const sample = await fillSample(await temporaryStore())
    const { store, info, small, keep } = sample
    const nar = await collect(store.nar(info.storePath))
    const folder = makeCache(
      info.storePath.toAbsolute(),
      { file: 'sample.nar', bytes: nar, compression: 'none' },
      { narSize: info.narSize, narHash: new NixHash('sha256', info.narSha256).toNix() },
    )
    await using server = await httpServer(files(folder))
    damage(store, small.digest)
    await overwrite(store, 'directories', keep.bytes)
    await using cache = await openStore(`nix+http://127.0.0.1:${server.port}`)
    expect(await faultsOf(store, { repairFrom: [cache] })).toEqual([
      `sample/keep directory-damaged ${keep.toHex()}!`,
      `sample/keep/small blob-damaged ${small.digest.toHex()}!`,
    ])
    expect(await faultsOf(store, { nar: true })).toEqual([])
    expect(server.requests.filter((request) => request.endsWith('.nar'))).toHaveLength(1)
  })

  it('none that has it leaves the damage, and says so', async () => {
    const { store, small } = await fillSample(await temporaryStore())
    damage(store, small.digest)
    const empty = await temporaryStore()
    const expected = [`sample/keep/small blob-damaged ${small.digest.toHex()}`]
    expect(await faultsOf(store, { repairFrom: [empty, store] })).toEqual(expected)
  })

  it('the second of them is asked when the first is damaged, too', async () => {
    const sample = await fillSample(await temporaryStore())
    const [first, second] = [await temporaryStore(), await temporaryStore()]
    await copied(sample, first)
    await copied(sample, second)
    for (const store of [sample.store, first]) damage(store, sample.chunks[1]!)
    expect(await faultsOf(sample.store, { repairFrom: [first, second] })).toEqual([
      `sample/large chunk-damaged ${sample.chunks[1]!.toHex()}!`,
    ])
  })
})

describe('services that have trouble', () => {
  const over = (store: LocalStore, blobs: Partial<LocalStore['blobs']>): Store => {
    const changed = new Proxy(store.blobs, {
      get: (target, name) => {
        const value: unknown = Reflect.get(blobs, name) ?? Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
      // Nobody is to go past it.
      has: (target, name) => name !== 'engine' && Reflect.has(target, name),
    })
    return new Store({ blobs: changed, directories: store.directories, pathInfos: store.pathInfos })
  }

  it('what is sound when it is looked at again is not called damaged', async () => {
    const { store } = await fillSample(await temporaryStore())
    const failed = new Set<string>()
    const flaky = over(store, {
      get: async (digest, options) => {
        if (failed.has(digest.key)) return store.blobs.get(digest, options)
        failed.add(digest.key)
        throw new CastoreError('data-loss', 'once')
      },
      open: async () => {
        throw new CastoreError('data-loss', 'once')
      },
    })
    const faults = []
    for await (const { damages } of verifyPaths(flaky, allPathDigests(store))) faults.push(...damages)
    expect(faults).toEqual([])
    expect(failed.size).toBeGreaterThan(5)
  })

  it('what cannot be reached is not called damaged either', async () => {
    const { store } = await fillSample(await temporaryStore())
    const error = new CastoreError('unavailable', 'gone')
    const away = over(store, { get: () => Promise.reject(error) })
    expect(await failureOf(() => faultsOf(away))).toBe(error)
  })

  it('a signal ends it', async () => {
    const { store } = await fillSample(await temporaryStore())
    const controller = new AbortController()
    const reason = new Error('enough')
    const onProgress = (): void => controller.abort(reason)
    expect(await failureOf(() => faultsOf(store, { signal: controller.signal, onProgress }))).toBe(reason)
  })
})

it('a file with an odd name is told by its bytes', async () => {
  const store = await temporaryStore()
  const folder = temporaryFolder()
  writeFileSync(Buffer.from(`${folder}/caf\xe9`, 'latin1'), 'odd name')
  const { storePath } = await store.importPath(folder, { name: 'odd' })
  damage(store, B3Digest.of(Buffer.from('odd name')))
  const found = []
  for await (const path of verifyPaths(store, [storePath])) found.push(...path.damages)
  expect(Buffer.from(found[0]!.path).toString('latin1')).toBe('caf\xe9')
})
