import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, type Node } from '@neve/castore-model'
import type { BlobService } from '@neve/castore-services'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { NarError, type NarListing, type NarListingNode } from '@neve/nar'
import { listNar, type NarServices, renderNar } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { makeComplicated } from './host-trees.js'
import { fileEnding, PrivateNix } from './nix-cache.js'
import {
  collect,
  expectStoreError,
  failureOf,
  memoryServices,
  nixIsThere,
  temporaryFolder,
  temporaryStore,
} from './support.js'

const digestOf = (byte: number): B3Digest => B3Digest.from(new Uint8Array(32).fill(byte))

async function list(services: NarServices, node: Node): Promise<string> {
  let text = ''
  for await (const piece of listNar(services, node)) text += piece
  return text
}

/** JSON with the keys of every object in bytewise order, whatever order they came in. */
function sorted(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, member]) => [Buffer.from(key), sorted(member)] as const)
  members.sort(([a], [b]) => Buffer.compare(a, b))
  return `{${members.map(([key, member]) => `${JSON.stringify(key.toString())}:${member}`).join(',')}}`
}

/** A tree of names that text can hold, some of which JSON has to escape. */
function makeTextTree(): string {
  const path = join(temporaryFolder(), 'tree')
  mkdirSync(join(path, 'sub', 'empty'), { recursive: true })
  for (const name of [
    '1',
    '10',
    '2',
    'a"b',
    'back\\slash',
    'new\nline',
    '\u007f',
    '\ufeffbom',
    'ü',
    '😀',
    '｡',
  ]) {
    writeFileSync(join(path, name), name.repeat(3))
    writeFileSync(join(path, 'sub', name), '', { mode: 0o755 })
    symlinkSync(`../${name}`, join(path, 'sub', `${name}-link`))
  }
  return path
}

describe('listing a NAR', () => {
  it('07#39 the tree "complicated"', async () => {
    const store = await temporaryStore()
    const path = join(temporaryFolder(), 'complicated')
    makeComplicated(path)
    const { storePath } = await store.importPath(path)
    let text = ''
    for await (const piece of store.narListing(storePath)) text += piece
    expect(text).toBe(
      '{"root":{"entries":{".keep":{"narOffset":232,"size":0,"type":"regular"},"aa":{"target":"/nix/store/somewhereelse","type":"symlink"},"keep":{"entries":{".keep":{"narOffset":760,"size":0,"type":"regular"}},"type":"directory"}},"type":"directory"},"version":1}',
    )
  })

  it('says where the contents of every file are', async () => {
    const services = memoryServices()
    const { node } = await ingestPath(services, makeTextTree())
    const nar = await collect(renderNar(services, node))
    const { root, version } = JSON.parse(await list(services, node)) as NarListing
    let files = 0
    const check = (name: string, listed: NarListingNode): void => {
      if (listed.type === 'directory') {
        for (const [child, below] of Object.entries(listed.entries)) check(child, below)
      } else if (listed.type === 'regular') {
        files++
        const content = nar.subarray(listed.narOffset, listed.narOffset + listed.size).toString()
        expect(content).toBe(listed.executable === true ? '' : name.repeat(3))
      }
    }
    check('', root)
    expect([version, files]).toEqual([1, 22])
  })

  it('needs no blobs, and says which directory is missing', async () => {
    const { directories } = memoryServices()
    const blobs = new Proxy({} as BlobService, { get: () => expect.unreachable() })
    const services = { directories, blobs }
    const file: Node = { kind: 'file', digest: digestOf(3), size: 12n, executable: true }
    expect(await list(services, file)).toBe(
      '{"root":{"executable":true,"narOffset":128,"size":12,"type":"regular"},"version":1}',
    )
    await expectStoreError(
      () => list(services, { kind: 'directory', digest: digestOf(4), size: 1n }),
      'directory-not-found',
    )
  })

  it('refuses names that are no UTF-8', async () => {
    const services = memoryServices()
    const path = join(temporaryFolder(), 'tree')
    mkdirSync(path)
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.of(0xff)]), '')
    const { node } = await ingestPath(services, path)
    const error = await failureOf(() => list(services, node))
    expect(error).toBeInstanceOf(NarError)
    expect(error.code).toBe('invalid-data')
  })
})

describe.skipIf(!nixIsThere)('09 section 16 the listings of real Nix (needs nix-store)', () => {
  it('are what a listing is, but for the order of keys', async () => {
    const nix = new PrivateNix()
    const store = await temporaryStore()
    const path = makeTextTree()
    const { storePath, folder } = nix.writeCache(path, 'write-nar-listing=true&compression=none')
    const { node } = await store.importPath(path)
    const ours = await list(store, node)
    expect(ours).toBe(sorted(JSON.parse(fileEnding(folder, '.ls').toString())))
    expect(storePath).toBe((await store.importPath(path)).storePath.toAbsolute())
    const printed = nix.run('nix', 'nar', 'ls', '--json', '-R', narOf(folder), '/').toString()
    expect(ours).toBe(`{"root":${sorted(JSON.parse(printed))},"version":1}`)
  })
})

function narOf(folder: string): string {
  return join(folder, /^URL: (.*)$/m.exec(fileEnding(folder, '.narinfo').toString())![1]!)
}
