import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, type Node } from '@neve/castore-model'
import { DataLossError, type DirectoryService } from '@neve/castore-services'
import { ContentThreads } from '@neve/castore-services/blob/content-threads'
import { dumpPath } from '@neve/nar/node'
import { compressNar, type LocalStore, NarPlans, renderNar } from '@neve/store-pathinfo'
import { describe, expect, it, onTestFinished } from 'vitest'
import { damage } from './damage.js'
import { noise } from './host-trees.js'
import { collect, expectStoreError, failureOf, temporaryFolder, temporaryStore } from './support.js'

/** The batches of plans do not look at what is in them. */
function batch(literal: number) {
  const [digests, sizes, gaps] = [new Uint8Array(0), new Uint32Array(0), new Uint32Array(0)]
  return { digests, sizes, gaps, literal: new Uint8Array(literal) }
}

type Batch = ReturnType<typeof batch>

/** Asks for a plan of some batches. @returns how often it had to be made */
async function ask(
  plans: NarPlans,
  name: string,
  batches: readonly Batch[],
  isUsual = true,
): Promise<number> {
  let made = 0
  async function* make() {
    made++
    yield* batches
  }
  const given: unknown[] = []
  for await (const one of plans.batches(name, make, () => isUsual)) given.push(one)
  expect(given).toEqual(batches)
  return made
}

async function asks(
  plans: NarPlans,
  name: string,
  batches: readonly Batch[],
  times: number,
): Promise<number> {
  let made = 0
  for (let i = 0; i < times; i++) made += await ask(plans, name, batches)
  return made
}

describe('plans', () => {
  const some = [batch(100), batch(200)]

  it('are made twice, and kept from then on, each by its name', async () => {
    const plans = new NarPlans()
    expect(await asks(plans, 'a', some, 5)).toBe(2)
    expect(await asks(plans, 'b', [batch(3)], 5)).toBe(2)
    expect(await ask(plans, 'a', some)).toBe(0)
  })

  it('are not kept when they are unusual, were not asked for to the end, or failed', async () => {
    const plans = new NarPlans()
    await ask(plans, 'a', some)
    await ask(plans, 'a', some, false)
    expect(plans.has('a')).toBe(false)
    async function* make() {
      yield some[0]!
      throw new Error('a directory is missing')
    }
    await expect(collectAll(plans.batches('a', make))).rejects.toThrow('a directory is missing')
    expect(plans.has('a')).toBe(false)
    const left = plans.batches('a', async function* () {
      yield* some
    })
    await left.next()
    await left.return()
    expect(plans.has('a')).toBe(false)
    await ask(plans, 'a', some)
    expect(plans.has('a')).toBe(true)
  })

  it('are recorded once at a time', async () => {
    const plans = new NarPlans(5000)
    await ask(plans, 'a', [batch(100)])
    // Three recordings of more than 2000 bytes each would be too much.
    const make = async function* () {
      yield batch(100)
      yield batch(100)
    }
    const slow = Array.from({ length: 3 }, () => plans.batches('a', make))
    for (const one of slow) await one.next()
    for (const one of slow) await collectAll(one)
    expect(plans.has('a')).toBe(true)
  })

  it('that were used last stay where there is no room for all', async () => {
    const plans = new NarPlans(4000)
    for (const name of ['a', 'b', 'c']) await asks(plans, name, [batch(100)], 2)
    expect(await ask(plans, 'a', [batch(100)])).toBe(0)
    await asks(plans, 'd', [batch(100)], 2)
    expect(['a', 'b', 'c', 'd'].filter((name) => plans.has(name))).toEqual(['a', 'c', 'd'])
    await asks(plans, 'large', [batch(5000)], 2)
    expect(['a', 'c', 'd', 'large'].filter((name) => plans.has(name))).toEqual(['a', 'c', 'd'])
    // What it took is free again.
    await asks(plans, 'e', [batch(100)], 2)
    expect(plans.has('e')).toBe(true)
  })

  it('are let go of, also while they are recorded', async () => {
    const plans = new NarPlans()
    await asks(plans, 'a', some, 2)
    plans.forget('a')
    const recording = plans.batches('a', async function* () {
      yield* some
    })
    await recording.next()
    plans.forget('a')
    await collectAll(recording)
    expect(plans.has('a')).toBe(false)
    expect(await asks(plans, 'a', some, 2)).toBe(1)
  })
})

async function collectAll(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

/** A tree of folders with small and large files, and what it takes to render it again and again. */
async function planned(store: LocalStore) {
  const path = join(temporaryFolder(), 'tree')
  const large = noise(3_000_000, 7)
  for (let folder = 0; folder < 5; folder++) {
    mkdirSync(join(path, `${folder}`), { recursive: true })
    for (let file = 0; file < 200; file++) {
      writeFileSync(join(path, `${folder}`, `${file}`), noise(50 + file * 11, folder * 1000 + file))
    }
  }
  writeFileSync(join(path, 'large'), large)
  const { node } = await store.importPath(path)
  let lookups = 0
  const directories = new Proxy(store.directories, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (key === 'get') lookups++
      return typeof value === 'function' ? value.bind(target) : value
    },
  }) as DirectoryService
  const threads = new ContentThreads(store.engine)
  onTestFinished(() => threads.close())
  const options = { threads, plans: new NarPlans() }
  const services = { blobs: store.blobs, directories }
  const expected = await collect(dumpPath(path))
  const render = (of: Node = node) => collect(renderNar(services, of, options))
  const compress = () => collect(compressNar(services, node, options))
  /** Lookups of directories that something takes. */
  const counted = async (work: () => Promise<unknown>): Promise<number> => {
    lookups = 0
    await work()
    return lookups
  }
  return { path, node, large, expected, render, compress, counted }
}

function removeDirectory(store: LocalStore, digest: B3Digest): Promise<void> {
  const session = store.engine.write()
  session.replace('directories', digest.bytes, store.engine.get('directories', digest.bytes), undefined)
  return session.commit()
}

describe('rendering a node again', () => {
  it('gives the same, and reads no directory but its root from the third time on', async () => {
    const store = await temporaryStore()
    const { render, compress, counted, expected } = await planned(store)
    const first = await compress()
    for (let i = 0; i < 4; i++) {
      expect(await counted(async () => expect((await render()).equals(expected)).toBe(true))).toBe(
        i < 2 ? 6 : 1,
      )
    }
    for (let i = 1; i < 4; i++) {
      expect(await counted(async () => expect((await compress()).equals(first)).toBe(true))).toBe(
        i < 2 ? 6 : 1,
      )
    }
  })

  it('does so at the same time for many', async () => {
    const { render, expected } = await planned(await temporaryStore())
    for (let i = 0; i < 3; i++) {
      for (const nar of await Promise.all(Array.from({ length: 20 }, () => render()))) {
        expect(nar.equals(expected)).toBe(true)
      }
    }
  })

  it('says that its root is not there any more', async () => {
    const store = await temporaryStore()
    const { render, node } = await planned(store)
    for (let i = 0; i < 3; i++) await render()
    if (node.kind !== 'directory') throw new Error('expected a directory')
    await removeDirectory(store, node.digest)
    const error = await expectStoreError(() => render(), 'directory-not-found')
    expect(error.message).toContain(node.digest.toString())
  })

  it.each(['a small file', 'a chunk'])(
    'finds damage to %s, names it, and is whole once it is mended',
    async (what) => {
      const store = await temporaryStore()
      const { path, render, large, expected } = await planned(store)
      for (let i = 0; i < 3; i++) await render()
      const chunks = (await store.blobs.chunks(B3Digest.of(large)))!
      const digest = what === 'a chunk' ? chunks[3]!.digest : B3Digest.of(noise(50 + 150 * 11, 3150))
      damage(store, digest)
      const error = await failureOf(() => render())
      expect(error).toBeInstanceOf(DataLossError)
      expect(error.message).toContain(digest.toString())
      await store.importPath(path)
      expect((await render()).equals(expected)).toBe(true)
    },
  )
})
