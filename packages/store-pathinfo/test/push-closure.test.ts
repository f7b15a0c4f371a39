import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { type LocalStore, openStore, type PathInfo, Store } from '@neve/store-pathinfo'
import { addPathInfoService } from '@neve/store-pathinfo/grpc/server'
import { afterAll, describe, expect, it } from 'vitest'
import { addDiamond, addPath, namedPath, push } from './push-fixture.js'
import { collect, expectStoreError, failureOf, temporaryFolder, temporaryStore } from './support.js'

const closing: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function opened(address: string): Promise<Store> {
  const store = await openStore(address)
  closing.push(() => store.close())
  return store
}

/** A store that a server of ours has, by address; and the one behind it. */
async function served(): Promise<{ readonly store: Store; readonly behind: LocalStore }> {
  const behind = await temporaryStore()
  const server = castoreServer({
    blobs: behind.blobs,
    directories: behind.directories,
    extend: (to) => addPathInfoService(to, behind.pathInfos, { contents: behind }),
  })
  const { url } = await server.listen(join(temporaryFolder(), 'socket'))
  closing.push(() => server.close())
  return { store: await opened(url), behind }
}

/** The same store, telling what is put into it, in order. */
function watched(store: Store): { readonly store: Store; readonly puts: string[] } {
  const puts: string[] = []
  const telling = <T extends object>(service: T, what: (argument: never) => string | undefined): T =>
    new Proxy(service, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          const text = name === 'put' ? what(args[0] as never) : undefined
          if (text !== undefined) puts.push(text)
          return (value as (...all: unknown[]) => unknown).apply(target, args)
        }
      },
    })
  const { blobs, directories, pathInfos } = store
  return {
    puts,
    store: new Store({
      blobs: telling(blobs, () => 'blob'),
      directories: telling(directories, () => 'directory'),
      pathInfos: telling(pathInfos, (info: PathInfo) => info.storePath.name),
    }),
  }
}

const TARGETS: readonly (readonly [string, () => Promise<Store>])[] = [
  ['an embedded store', temporaryStore],
  ['a daemon', async () => (await served()).store],
  ['object files', () => opened(`objectstore+file://${temporaryFolder()}/bucket?avg_chunk_size=65536`)],
  ['memory', () => opened('memory:')],
]

describe.each(TARGETS)('a closure pushed into %s', (_name, target) => {
  it('arrives whole, references first, and there is nothing to do the second time', async () => {
    const from = await temporaryStore()
    const all = await addDiamond(from)
    const unwatched = await target()
    const { store: to, puts } = watched(unwatched)
    const progress: number[] = []
    const pushed = await push(from, to, [all.top], {
      onProgress: ({ doneBytes }) => progress.push(doneBytes),
    })
    const names = puts.filter((what) => what in all)
    expect([...names].sort()).toEqual(['base', 'left', 'right', 'top'])
    expect([names[0], names[3]]).toEqual(['base', 'top'])
    expect(pushed.map(({ storePath }) => storePath.name)).toEqual(expect.arrayContaining(names))
    expect(pushed.every(({ present }) => !present)).toBe(true)
    const total = Object.values(all).reduce((sum, { narSize }) => sum + Number(narSize), 0)
    expect(progress.at(-1)).toBe(total)
    expect(progress.every((bytes, at) => at === 0 || bytes >= progress[at - 1]!)).toBe(true)
    for (const info of Object.values(all)) {
      expect(await to.pathInfos.get(info.storePath.digest)).toEqual(info)
      const nar = await collect(to.nar(info.storePath))
      expect(nar.equals(await collect(from.nar(info.storePath)))).toBe(true)
    }
    puts.length = 0
    const again = await push(from, to, [all.top], { thorough: true })
    expect(again.map(({ present, blobs, directories }) => [present, blobs, directories])).toEqual(
      again.map(() => [true, 0, 0]),
    )
    expect(puts.filter((what) => what === 'blob')).toEqual([])
  })

  it('signatures of both are there afterwards', async () => {
    const [from, other, to] = [await temporaryStore(), await temporaryStore(), await target()]
    const info = await addPath(from, 'signed')
    const { signatures } = await addPath(other, 'other', [], { seed: 's'.charCodeAt(0) })
    await push(from, to, [info])
    await other.pathInfos.put({ ...info, signatures })
    await push(other, to, [info])
    const stored = await to.pathInfos.get(info.storePath.digest)
    expect(stored?.signatures.map(({ name }) => name)).toEqual(['signed-1', 'other-1'])
  })
})

describe('what is pushed', () => {
  it('without the closure, it is the path alone', async () => {
    const [from, to] = [await temporaryStore(), await temporaryStore()]
    const { top } = await addDiamond(from)
    const pushed = await push(from, to, [top], { closure: false })
    expect(pushed.map(({ storePath }) => storePath.name)).toEqual(['top'])
    expect(to.engine.count('pathInfos')).toBe(1)
  })

  it('a path, or a reference, that the source lacks ends it before anything moves', async () => {
    const [from, to] = [await temporaryStore(), await temporaryStore()]
    const absent = { ...(await addPath(from, 'absent')), storePath: namedPath('nowhere') }
    const error = await expectStoreError(() => push(from, to, [absent]), 'not-found')
    expect(error.message).toBe(`${absent.storePath.toAbsolute()} is not in the source`)
    const top = await addPath(from, 'top', [absent])
    const dangling = await expectStoreError(() => push(from, to, [top]), 'not-found')
    expect(dangling.message).toContain(`which ${top.storePath.toAbsolute()} references`)
    expect(to.engine.count('content')).toBe(0)
  })

  it('references in a circle are refused', async () => {
    const [from, to] = [await temporaryStore(), await temporaryStore()]
    const base = await addPath(from, 'base')
    const top = await addPath(from, 'top', [base])
    await from.pathInfos.put({ ...base, references: [top.storePath] }, { overwrite: true })
    const error = await expectStoreError(() => push(from, to, [top]), 'data-loss')
    expect(error.message).toMatch(/cycle: .*-(top|base) → .*-(base|top) → /)
  })

  it('other contents under the same path are refused before anything moves', async () => {
    const [from, to] = [await temporaryStore(), await temporaryStore()]
    const info = await addPath(from, 'same')
    await addPath(to, 'same', [], { seed: 99 })
    const before = to.engine.count('content')
    await expectStoreError(() => push(from, to, [info]), 'already-exists')
    expect(to.engine.count('content')).toBe(before)
  })

  it.each([1, 8])('onFailure: all but what fails and what references it, %i at once', async (concurrency) => {
    const from = await temporaryStore()
    const { base, right, top } = await addDiamond(from)
    const alone = await addPath(from, 'alone')
    const to = await temporaryStore()
    await addPath(to, 'left', [], { seed: 3 })
    const failures: [string, unknown][] = []
    const pushed = await push(from, to, [top, alone], {
      concurrency,
      onFailure: (storePath, error) => failures.push([storePath.name, error]),
    })
    expect(pushed.map(({ storePath }) => storePath.name).sort()).toEqual(['alone', 'base', 'right'])
    expect(failures).toEqual([
      ['left', expect.objectContaining({ code: 'already-exists' })],
      ['top', expect.objectContaining({ code: 'reference-missing' })],
    ])
    for (const info of [base, right, alone])
      expect(await to.pathInfos.get(info.storePath.digest)).toEqual(info)
    expect(await to.pathInfos.has(top.storePath.digest)).toBe(false)
  })

  it.each(TARGETS)('checkNars: a path info that lies is not put into %s', async (_name, target) => {
    const [from, to] = [await temporaryStore(), await target()]
    const honest = await addPath(from, 'honest')
    const other = await addPath(from, 'other', [], { seed: 5 })
    const lying = { ...honest, storePath: namedPath('lying'), node: other.node, narSize: other.narSize }
    await from.pathInfos.put(lying)
    await expectStoreError(() => push(from, to, [lying], { checkNars: true }), 'nar-mismatch')
    expect(await to.pathInfos.get(lying.storePath.digest)).toBeUndefined()
    expect(await push(from, to, [honest], { checkNars: true })).toHaveLength(1)
  })
})

describe('nothing half-present is taken for whole', () => {
  /** What the near side of a cache may have: path infos and directories, and no blobs. */
  async function halfPresent(from: Store, to: Store, info: PathInfo, withInfo: boolean): Promise<void> {
    if (info.node.kind !== 'directory') throw new Error('expected a directory')
    const directories = []
    for await (const directory of from.directories.getRecursive(info.node.digest)) directories.push(directory)
    await using putter = to.directories.putMultipleStart()
    const known = new Set<string>()
    while (directories.length > 0) {
      const ready = directories.findIndex((one) =>
        [...one.directories()].every(({ node }) => known.has(node.digest.key)),
      )
      const [directory] = directories.splice(ready, 1)
      known.add(directory!.digest().key)
      await putter.put(directory!)
    }
    await putter.close()
    if (withInfo) await to.pathInfos.put(info)
  }

  it('in an embedded store, directories and path infos without blobs are filled', async () => {
    const from = await temporaryStore()
    const info = await addPath(from, 'half')
    for (const withInfo of [false, true]) {
      const to = await temporaryStore()
      await halfPresent(from, to, info, withInfo)
      const [pushed] = await push(from, to, [info])
      expect(pushed).toMatchObject({ present: false, directories: 0 })
      expect(pushed!.blobs).toBeGreaterThan(3)
      expect((await collect(to.nar(info.storePath))).length).toBe(Number(info.narSize))
    }
  })

  it('elsewhere too; a path info only if it is asked for', async () => {
    const from = await temporaryStore()
    const info = await addPath(from, 'half')
    const { store, behind } = await served()
    await halfPresent(from, behind, info, false)
    const [pushed] = await push(from, store, [info])
    expect(pushed).toMatchObject({ present: false, directories: 0 })
    expect((await collect(behind.nar(info.storePath))).length).toBe(Number(info.narSize))

    const other = await served()
    await halfPresent(from, other.behind, info, true)
    expect((await push(from, other.store, [info]))[0]).toMatchObject({ present: true, blobs: 0 })
    const [thorough] = await push(from, other.store, [info], { thorough: true })
    expect(thorough!.blobs).toBeGreaterThan(3)
    expect((await collect(other.behind.nar(info.storePath))).length).toBe(Number(info.narSize))
  })

  it('trusted directories are not looked below', async () => {
    const from = await temporaryStore()
    const info = await addPath(from, 'half')
    const { store, behind } = await served()
    await halfPresent(from, behind, info, false)
    const [pushed] = await push(from, store, [info], { trustDirectories: true })
    expect(pushed).toMatchObject({ blobs: 0, directories: 0 })
  })

  it('a blob whose list is there and a chunk is not', async () => {
    const [from, to] = [await temporaryStore(), await temporaryStore()]
    const content = Buffer.alloc(3_000_000, 'some text that repeats, more or less ')
    for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
    await using writer = from.blobs.openWrite()
    await writer.write(content)
    const digest = await writer.close()
    const node = { kind: 'file', digest, size: BigInt(content.length), executable: false } as const
    const info = await from.pathInfos.put({
      ...(await addPath(from, 'other')),
      storePath: namedPath('chunked'),
      node,
      ...(await from.measureNar(node)),
    })
    const session = to.engine.write()
    session.put('blobs', digest.bytes, from.engine.get('blobs', digest.bytes)!)
    await session.commit()
    expect(await to.blobs.has(digest)).toBe(true)
    await push(from, to, [info])
    expect(B3Digest.of(await collect(to.nar(info.storePath)))).toEqual(
      B3Digest.of(await collect(from.nar(info.storePath))),
    )
  })

  it('what was cut off leaves no path info without its closure, and is finished by the next push', async () => {
    const from = await temporaryStore()
    const all = await addDiamond(from)
    const { store, behind } = await served()
    let seen = 0
    const controller = new AbortController()
    const reason = new Error('enough')
    const error = await failureOf(() =>
      push(from, store, [all.top], {
        concurrency: 1,
        signal: controller.signal,
        onProgress: ({ donePaths }) => {
          if (donePaths > 1 && ++seen > 3) controller.abort(reason)
        },
      }),
    )
    expect(error).toBe(reason)
    let there = 0
    for await (const info of behind.pathInfos.list()) {
      there++
      expect((await collect(behind.nar(info.storePath))).length).toBe(Number(info.narSize))
      for (const reference of info.references) {
        expect(await behind.pathInfos.has(reference.digest)).toBe(true)
      }
    }
    expect(there).toBeLessThan(4)
    const rest = await push(from, store, [all.top])
    expect(rest.filter(({ present }) => present)).toHaveLength(there)
    expect(behind.engine.count('pathInfos')).toBe(4)
  })
})

describe('openStore by address', () => {
  it('a daemon measures NARs itself', async () => {
    const { store, behind } = await served()
    const info = await addPath(behind, 'measured')
    const blobs = store.blobs.open.bind(store.blobs)
    let opened = 0
    store.blobs.open = (...args) => {
      opened++
      return blobs(...args)
    }
    expect(await store.measureNar(info.node)).toEqual({ narSize: info.narSize, narSha256: info.narSha256 })
    expect(opened).toBe(0)
    const imported = await store.importPath(join(import.meta.dirname, 'push-closure.test.ts'))
    expect((await behind.pathInfos.get(imported.storePath.digest))?.node).toEqual(imported.node)
  })

  it.each([
    ['sled:///var/lib/tvix', 'invalid-address', 'write embedded:/path/to/folder'],
    ['redb:/var/lib/snix', 'invalid-address', 'write embedded:/path/to/folder'],
    ['redb+memory:', 'invalid-address', 'write embedded:/path/to/folder'],
    ['tvix://x', 'unknown-type', 'Unknown type: tvix'],
    ['grpc+ftp://x', 'invalid-config', 'grpc+unix:'],
    ['nix+https:', 'invalid-config', 'expected a host'],
    ['lru:?capacity=3', 'unknown-type', 'Unknown type: lru'],
  ])('%s is refused', async (address, code, message) => {
    const error = await failureOf(() => openStore(address))
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(message)
  })
})
