import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dumpPath } from '@neve/nar/node'
import { ContentAddress, NixHash, Signature, StorePath } from '@neve/nix-compat'
import {
  type CopiedPath,
  type CopyPathsOptions,
  MemoryPathInfoService,
  type PathInfo,
  type PathMetadata,
  type PutPathInfoOptions,
  Store,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { bytes } from '../src/contract/path-info-fixtures.js'
import {
  collect,
  expectStoreError,
  failureOf,
  memoryServices,
  temporaryFolder,
  temporaryStore,
} from './support.js'

/** A folder with store paths in it, and what Nix would say of them. */
class HostStore {
  readonly root = temporaryFolder()

  constructor() {
    mkdirSync(join(this.root, 'nix/store'), { recursive: true })
  }

  where({ storePath }: { readonly storePath: StorePath }): string {
    return join(this.root, storePath.toAbsolute())
  }

  async add(name: string, references: readonly PathMetadata[] = [], more: Partial<PathMetadata> = {}) {
    const storePath = new StorePath(bytes(20, name), name)
    const folder = this.where({ storePath })
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), `${name}\n`)
    writeFileSync(join(folder, 'large'), bytes(64, name))
    const nar = await collect(dumpPath(folder))
    const metadata: PathMetadata = {
      storePath,
      narSize: BigInt(nar.length),
      narSha256: new Uint8Array(createHash('sha256').update(nar).digest()),
      references: [storePath, ...references.map((one) => one.storePath)].sort(StorePath.compare),
      signatures: [],
      deriver: undefined,
      ca: undefined,
      ...more,
    }
    return metadata
  }
}

async function copyAll(
  store: Store,
  described: Iterable<PathMetadata>,
  options: CopyPathsOptions,
): Promise<CopiedPath[]> {
  const copied: CopiedPath[] = []
  for await (const path of store.copyPaths(described, options)) copied.push(path)
  return copied
}

const summary = (copied: readonly CopiedPath[]) =>
  copied.map(({ storePath, status }) => `${status} ${storePath.name}`)

describe('copying store paths of the host', () => {
  it('08 section 9: keeps all that is said of them, and reads none a second time', async () => {
    const host = new HostStore()
    const a = await host.add('a')
    const b = await host.add('b', [a], {
      signatures: [new Signature('k-1', bytes(64, 'signature'))],
      deriver: new StorePath(bytes(20, 'deriver'), 'b'),
      ca: new ContentAddress('text', NixHash.of('sha256', bytes(8, 'ca'))),
    })
    const store = await temporaryStore()
    expect(summary(await copyAll(store, [b, a], host))).toEqual(['copied a', 'copied b'])
    for (const metadata of [a, b]) {
      const info = await store.pathInfos.get(metadata.storePath.digest)
      expect(info).toEqual({ ...metadata, node: info!.node })
      const nar = await collect(dumpPath(host.where(metadata)))
      expect((await collect(store.nar(metadata.storePath))).equals(nar)).toBe(true)
    }
    rmSync(host.root, { recursive: true })
    const another = new Signature('k-2', bytes(64, 'another'))
    const signed = { ...a, signatures: [another] }
    expect(summary(await copyAll(store, [signed, b], host))).toEqual(['present a', 'present b'])
    expect((await store.pathInfos.get(a.storePath.digest))!.signatures).toEqual([...a.signatures, another])
  })

  it('08 section 3.3: puts references before what references them, and after their contents', async () => {
    const host = new HostStore()
    const all: PathMetadata[] = []
    for (let i = 0; i < 60; i++) {
      all.push(
        await host.add(
          `path-${i}`,
          all.filter((_, at) => (i * 7 + at) % 5 === 0),
        ),
      )
    }
    const services = memoryServices()
    const puts: string[] = []
    class Watched extends MemoryPathInfoService {
      override async put(info: PathInfo, options?: PutPathInfoOptions): Promise<PathInfo> {
        for (const reference of info.references) {
          if (!reference.equals(info.storePath)) expect(puts).toContain(reference.name)
        }
        if (info.node.kind !== 'directory') throw new Error('expected a directory')
        expect(await services.directories.get(info.node.digest)).toBeDefined()
        // The later, the sooner it is done.
        for (let i = 60 - Number(info.storePath.name.slice(5)); i > 0; i--) await Promise.resolve()
        const stored = await super.put(info, options)
        puts.push(info.storePath.name)
        return stored
      }
    }
    await using store = new Store({ ...services, pathInfos: new Watched() })
    const copied = await copyAll(store, [...all].reverse(), host)
    expect(copied.every(({ status }) => status === 'copied')).toBe(true)
    expect(new Set(puts).size).toBe(60)
  })

  it.each([
    ['hash', { narSha256: new Uint8Array(32) }],
    ['size', { narSize: 5n }],
  ])('what has another %s ends it, and is not visible', async (mismatch, change) => {
    const host = new HostStore()
    const a = await host.add('a')
    const wrong = { ...(await host.add('wrong', [a])), ...change }
    const later = await host.add('z')
    const store = await temporaryStore()
    const seen: CopiedPath[] = []
    const error = await failureOf(async () => {
      for await (const path of store.copyPaths([wrong, a, later], host)) seen.push(path)
    })
    expect(error).toMatchObject({ name: 'StoreError', code: 'nar-mismatch', mismatch })
    expect(summary(seen)).toEqual(['copied a', 'failed wrong'])
    expect(store.engine.count('pathInfos')).toBe(1)
    // Who does not look gets it.
    const [trusted] = await copyAll(store, [wrong], { ...host, verify: false })
    expect(trusted).toMatchObject({ status: 'copied', narSize: wrong.narSize })
  })

  it('goes on with what does not need what failed, if it is to', async () => {
    const host = new HostStore()
    const gone = await host.add('gone')
    const above = await host.add('above', [gone])
    const top = await host.add('top', [above])
    const other = await host.add('other')
    const known = await host.add('known')
    rmSync(host.where(gone), { recursive: true })
    const store = await temporaryStore()
    await copyAll(store, [known], host)
    const changed = { ...known, narSha256: new Uint8Array(32) }
    const copied = await copyAll(store, [top, above, gone, changed, other], { ...host, keepGoing: true })
    expect(summary(copied)).toEqual([
      'failed gone',
      'failed above',
      'failed top',
      'failed known',
      'copied other',
    ])
    const codes = copied.map((path) =>
      path.status === 'failed' ? (path.error as { code: string }).code : '',
    )
    expect(codes).toEqual(['stat', 'reference-missing', 'reference-missing', 'already-exists', ''])
    expect(store.engine.count('pathInfos')).toBe(2)
  })

  it('refuses cycles, and one path described in two ways, before anything is done', async () => {
    const host = new HostStore()
    const a = await host.add('a')
    const b = await host.add('b', [a])
    const store = await temporaryStore()
    const back = { ...a, references: [b.storePath] }
    const error = await expectStoreError(() => copyAll(store, [b, back], host), 'invalid-input')
    expect(error.message).toContain('cycle')
    await expectStoreError(
      () => copyAll(store, [a, { ...a, narSha256: new Uint8Array(32) }], host),
      'invalid-input',
    )
    expect(summary(await copyAll(store, [a, a], host))).toEqual(['copied a'])
    expect(store.engine.count('pathInfos')).toBe(1)
  })

  it('a chain of 20,000 references is put in order', async () => {
    const host = new HostStore()
    const first = await host.add('first')
    const chain = [first]
    const store = await temporaryStore()
    await copyAll(store, [first], host)
    const { node } = (await store.pathInfos.get(first.storePath.digest))!
    for (let i = 0; i < 20_000; i++) {
      const storePath = new StorePath(bytes(20, `chain ${i}`), `chain-${i}`)
      chain.push({ ...first, storePath, references: [chain.at(-1)!.storePath] })
    }
    // Only the order is of interest: what is there is not read.
    const memory = new MemoryPathInfoService()
    for (const metadata of chain) await memory.put({ ...metadata, node })
    await using other = new Store({ ...memoryServices(), pathInfos: memory })
    const copied = await copyAll(other, [...chain].reverse(), host)
    expect(copied.map(({ storePath }) => storePath.name)).toEqual(
      chain.map(({ storePath }) => storePath.name),
    )
  })

  it('a signal ends it with its reason', async () => {
    const host = new HostStore()
    const all = await Promise.all(Array.from({ length: 30 }, (_, i) => host.add(`path-${i}`)))
    const store = await temporaryStore()
    const controller = new AbortController()
    const reason = new Error('enough')
    let seen = 0
    const copying = (async () => {
      for await (const _ of store.copyPaths(all, { ...host, signal: controller.signal, keepGoing: true })) {
        if (++seen === 2) controller.abort(reason)
      }
    })()
    await expect(copying).rejects.toBe(reason)
    expect(seen).toBeLessThan(30)
    expect(summary(await copyAll(store, all, host)).filter((one) => one.startsWith('failed'))).toEqual([])
  })
})
