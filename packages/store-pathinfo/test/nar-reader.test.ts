import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { BlobCursor, blobStream, CastoreError, DataLossError } from '@neve/castore-services'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { dumpPath } from '@neve/nar/node'
import { NarLayouts, NarReader, type NarServices, renderNar } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { makeComplicated, makeRandomTree, noise } from './host-trees.js'
import {
  collect,
  expectStoreError,
  failureOf,
  memoryServices,
  nixIsThere,
  privateNix,
  temporaryFolder,
  temporaryStore,
} from './support.js'

const HELLO = Buffer.from('Hello World!')

const fileNode = (digest: B3Digest, size: number | bigint): Node => ({
  kind: 'file',
  digest,
  size: BigInt(size),
  executable: false,
})

/** A tree with everything in it: deep, many small files, a file of many chunks, the same directory twice. */
function makeTree(): string {
  const path = makeRandomTree(77, 60)
  const large = noise(3_000_000, 5)
  writeFileSync(join(path, 'large'), large)
  for (const twin of ['twin-a', 'twin-b']) {
    mkdirSync(join(path, twin, 'below'), { recursive: true })
    for (let i = 0; i < 20; i++) writeFileSync(join(path, twin, 'below', `${i}`), large.subarray(i, i * 40))
  }
  return path
}

describe.each([
  ['memory', async (): Promise<NarServices> => memoryServices()],
  ['embedded', async (): Promise<NarServices> => temporaryStore()],
])('a NAR reader over %s services', (_name, make) => {
  it('07#38 a file: 10 bytes from each of three positions, one after the other and at once', async () => {
    const services = await make()
    const node = fileNode(await services.blobs.put(HELLO), 12)
    const nar = await collect(renderNar(services, node))
    await using reader = await NarReader.open(services, node)
    expect(reader.size).toBe(128n)
    const slice = (offset: number) => nar.subarray(offset, offset + 10)
    for (const offset of [0x65, 0x68, 0x70]) {
      expect(Buffer.from(await reader.readAt(BigInt(offset), 10))).toEqual(slice(offset))
    }
    const together = await Promise.all([0x65n, 0x68n, 0x70n].map((offset) => reader.readAt(offset, 10)))
    expect(together.map((bytes) => Buffer.from(bytes))).toEqual([0x65, 0x68, 0x70].map(slice))
  })

  it('07#38 the whole is what rendering gives: symlink, file, "complicated"', async () => {
    const services = await make()
    const path = join(temporaryFolder(), 'complicated')
    makeComplicated(path)
    const { node } = await ingestPath(services, path)
    const nodes: readonly [Node, bigint][] = [
      [{ kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') }, 136n],
      [fileNode(await services.blobs.put(HELLO), 12), 128n],
      [node, 840n],
    ]
    for (const [each, size] of nodes) {
      await using reader = await NarReader.open(services, each)
      expect(reader.size).toBe(size)
      const whole = await collect(blobStream(reader))
      expect(whole.equals(await collect(renderNar(services, each)))).toBe(true)
    }
  })

  it.each([0, 2, 11, 13, 42])(
    '07#38 a size of %i that the blob does not have: opened, refused on read',
    async (size) => {
      const services = await make()
      await using reader = await NarReader.open(services, fileNode(await services.blobs.put(HELLO), size))
      const error = await expectStoreError(() => collect(blobStream(reader)), 'wrong-size')
      expect(error.message).toContain(`12 bytes, its node says ${size}`)
      // What touches no contents can be read.
      expect(await reader.readAt(0n, 50)).toHaveLength(50)
    },
  )

  it('07#38 any range is the slice of the whole', async () => {
    const services = await make()
    const path = makeTree()
    const { node } = await ingestPath(services, path)
    const nar = await collect(dumpPath(path))
    await using reader = await NarReader.open(services, node)
    expect(reader.size).toBe(BigInt(nar.length))
    const position = fc.oneof(
      fc.nat(nar.length),
      fc.nat(20_000),
      fc.nat(20_000).map((back) => nar.length - back),
    )
    await fc.assert(
      fc.asyncProperty(position, fc.oneof(fc.nat(600), fc.nat(500_000)), async (start, length) => {
        const expected = nar.subarray(start, start + length)
        expect(Buffer.from(await reader.readAt(BigInt(start), length)).equals(expected)).toBe(true)
        const end = BigInt(start + expected.length)
        const streamed = await collect(blobStream(reader, { start: BigInt(start), end }))
        expect(streamed.equals(expected)).toBe(true)
      }),
      { numRuns: 150 },
    )
    expect((await collect(blobStream(reader))).equals(nar)).toBe(true)
  })

  it('a cursor goes through it as through a blob', async () => {
    const services = await make()
    const path = makeTree()
    const { node } = await ingestPath(services, path)
    const nar = await collect(dumpPath(path))
    await using reader = await NarReader.open(services, node)
    const cursor = new BlobCursor(reader)
    await cursor.seek(BigInt(nar.length - 1000))
    const tail: Uint8Array[] = []
    for (let piece = await cursor.read(300); piece.length > 0; piece = await cursor.read(300))
      tail.push(piece)
    expect(Buffer.concat(tail).equals(nar.subarray(-1000))).toBe(true)
  })

  it('07#30 an absent blob, and an absent directory', async () => {
    const services = await make()
    const missing = B3Digest.from(new Uint8Array(32).fill(7))
    await using reader = await NarReader.open(services, fileNode(missing, 5))
    await expectStoreError(() => reader.readAt(90n, 20), 'blob-not-found')
    const root: Node = { kind: 'directory', digest: missing, size: 3n }
    await expectStoreError(() => NarReader.open(services, root), 'directory-not-found')
    if (services.directories.constructor.name === 'MemoryDirectoryService') return
    const parent = Directory.fromEntries([[PathComponent.from('child'), root]])
    await services.directories.put(parent)
    expect(await failureOf(() => NarReader.open(services, parent.toNode()))).toBeInstanceOf(DataLossError)
  })

  it('refuses ranges that are none, and reads after it was closed', async () => {
    const services = await make()
    const reader = await NarReader.open(services, fileNode(await services.blobs.put(HELLO), 12))
    for (const [offset, length] of [
      [-1n, 1],
      [129n, 1],
      [0n, -1],
      [0n, 1.5],
    ] as const) {
      expect(await failureOf(() => reader.readAt(offset, length))).toMatchObject({ code: 'invalid-input' })
    }
    expect(await reader.readAt(128n, 10)).toHaveLength(0)
    await reader.close()
    const error = await failureOf(() => reader.readAt(0n, 1))
    expect(error).toBeInstanceOf(CastoreError)
    expect(error.code).toBe('closed')
  })

  it('a signal ends it with its reason', async () => {
    const services = await make()
    const { node } = await ingestPath(services, makeTree())
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await expect(NarReader.open(services, node, { signal })).rejects.toBe(reason)
    await using reader = await NarReader.open(services, node)
    await expect(reader.readAt(0n, 10, { signal })).rejects.toBe(reason)
    const controller = new AbortController()
    const pieces = async () => {
      for await (const _ of blobStream(reader, { signal: controller.signal })) controller.abort(reason)
    }
    await expect(pieces()).rejects.toBe(reason)
  })
})

describe('a NAR reader', () => {
  it('reads directories only until contents are asked for, and none twice', async () => {
    const { blobs, directories } = memoryServices()
    const { node } = await ingestPath({ blobs, directories }, makeTree())
    const refusing = { open: () => expect.unreachable('a blob was opened') }
    await using reader = await NarReader.open({ blobs: refusing, directories }, node)
    expect(await reader.readAt(reader.size - 16n, 16)).toHaveLength(16)
    let asked = 0
    const counting = {
      get: directories.get.bind(directories),
      getRecursive: (...args: Parameters<typeof directories.getRecursive>) => {
        asked++
        return directories.getRecursive(...args)
      },
    }
    const layouts = new NarLayouts()
    const open = () => NarReader.open({ blobs, directories: counting }, node, { layouts })
    await Promise.all([open(), open()])
    await open()
    expect(asked).toBe(1)
    const none = new NarLayouts(0)
    await NarReader.open({ blobs, directories: counting }, node, { layouts: none })
    await NarReader.open({ blobs, directories: counting }, node, { layouts: none })
    expect(asked).toBe(3)
  })

  it('knows sizes that nobody can render', async () => {
    const services = memoryServices()
    // 40 levels of two equal children each: 2^40 files, 40 directories.
    let below: Node = fileNode(await services.blobs.put(HELLO), 12)
    await using putter = services.directories.putMultipleStart()
    for (let level = 0; level < 40; level++) {
      const directory = Directory.fromEntries([
        [PathComponent.from('a'), below],
        [PathComponent.from('b'), below],
      ])
      await putter.put(directory)
      below = directory.toNode()
    }
    await putter.close()
    await using reader = await NarReader.open(services, below)
    // 2^40 files of 72 bytes, 2^41 - 2 entries of 128, 2^40 - 1 directories of 40, the opening of 56.
    const size = 56n + 2n ** 40n * 72n + (2n ** 41n - 2n) * 128n + (2n ** 40n - 1n) * 40n
    expect(reader.size).toBe(size)
    const middle = Buffer.from(await reader.readAt(size / 2n, 16_384))
    expect(middle.includes(HELLO)).toBe(true)
  })

  it('gives no byte of a damaged chunk, and those of all others', async () => {
    const store = await temporaryStore()
    const path = join(temporaryFolder(), 'large')
    writeFileSync(path, noise(3_000_000, 8))
    const { node } = await store.importPath(path)
    const nar = await collect(dumpPath(path))
    if (node.kind !== 'file') throw new Error('expected a file')
    const chunks = (await store.blobs.chunks(node.digest))!
    damage(store, chunks[4]!.digest)
    const before = Number(chunks.slice(0, 4).reduce((sum, { size }) => sum + size, 96n))
    const after = before + Number(chunks[4]!.size)
    await using reader = await store.openNar(node)
    expect(await failureOf(() => reader.readAt(BigInt(before + 5), 10))).toBeInstanceOf(DataLossError)
    const rest = await collect(blobStream(reader, { start: BigInt(after) }))
    expect(rest.equals(nar.subarray(after))).toBe(true)
    expect(Buffer.from(await reader.readAt(0n, before)).equals(nar.subarray(0, before))).toBe(true)
  })

  it.skipIf(!nixIsThere)('09 section 16 any range of what nix-store dumps (needs it)', async () => {
    const path = makeRandomTree(103, 120)
    const nar = privateNix()('--dump', path)
    const store = await temporaryStore()
    const { storePath } = await store.importPath(path)
    await using reader = await store.openNar(storePath)
    for (let start = 0; start < nar.length; start += 99_731) {
      const piece = await reader.readAt(BigInt(start), 12_000)
      expect(Buffer.from(piece).equals(nar.subarray(start, start + 12_000))).toBe(true)
    }
  })
})
