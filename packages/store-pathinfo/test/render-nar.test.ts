import { createHash } from 'node:crypto'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { type BlobService, DataLossError, type DirectoryService } from '@neve/castore-services'
import { type ContentTask, ContentThreads } from '@neve/castore-services/blob/content-threads'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { dumpPath } from '@neve/nar/node'
import {
  calculateNar,
  compressNar,
  type LocalStore,
  NarHashSink,
  type NarServices,
  renderNar,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { makeComplicated, makeRandomTree, NAR_VECTORS, noise } from './host-trees.js'
import {
  collect,
  expectStoreError,
  failureOf,
  hex,
  memoryServices,
  temporaryFolder,
  temporaryStore,
  toHex,
} from './support.js'

const HELLO = Buffer.from('Hello World!')
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const fileNode = (digest: B3Digest, size: number | bigint, executable = false): Node => ({
  kind: 'file',
  digest,
  size: BigInt(size),
  executable,
})
const render = (services: NarServices, node: Node) => collect(renderNar(services, node))

const N3 =
  '0d000000000000006e69782d617263686976652d3100000001000000000000002800000000000000040000000000000074797065000000000700000000000000726567756c6172000800000000000000636f6e74656e74730c0000000000000048656c6c6f20576f726c64210000000001000000000000002900000000000000'
const N4 =
  '0d000000000000006e69782d617263686976652d310000000100000000000000280000000000000004000000000000007479706500000000070000000000000073796d6c696e6b000600000000000000746172676574000018000000000000002f6e69782f73746f72652f736f6d657768657265656c736501000000000000002900000000000000'

describe.each([
  ['memory', async (): Promise<NarServices> => memoryServices()],
  ['embedded', async (): Promise<NarServices> => temporaryStore()],
])('rendering from %s services', (_name, make) => {
  it('07#30 09#66 an absent blob', async () => {
    const services = await make()
    const digest = B3Digest.of(HELLO)
    for (const node of [fileNode(digest, 12), fileNode(digest, 600_000), fileNode(digest, 0)]) {
      const error = await expectStoreError(() => render(services, node), 'blob-not-found')
      expect(error.message).toContain(digest.toString())
    }
  })

  it.each([
    ['a small blob', HELLO],
    ['a blob of one byte', HELLO.subarray(0, 1)],
    ['a blob beyond the smallest chunk', noise(200_000)],
    ['a blob of several chunks', noise(2_000_000)],
    ['the empty blob', new Uint8Array(0)],
  ])('07#31 09#67 %s that has another length than its node says', async (_name, content) => {
    const services = await make()
    const digest = await services.blobs.put(content)
    const { length } = content
    for (const size of [0, 1, 2, 42, length - 1, length + 1, length * 2, 3_000_000, 2n ** 40n]) {
      if (BigInt(size) === BigInt(length) || size < 0) continue
      for (const node of [fileNode(digest, size), fileNode(digest, size, true)]) {
        const delivered: Uint8Array[] = []
        const error = await expectStoreError(async () => {
          for await (const piece of renderNar(services, node)) delivered.push(piece)
        }, 'wrong-size')
        expect(error.message).toContain(`${length} bytes, its node says ${size}`)
        expect(Buffer.concat(delivered).length).toBeLessThan(300)
      }
    }
  })

  it('07#32 09#68 a file', async () => {
    const services = await make()
    const digest = await services.blobs.put(HELLO)
    expect(toHex(await render(services, fileNode(digest, 12)))).toBe(N3)
  })

  it('07#33 09#69 the tree "complicated", and its measure', async () => {
    const services = await make()
    const W = Directory.decode(
      hex('12290a052e6b6565701220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'),
    )
    const empty = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false } as const
    const C = Directory.fromEntries([
      [PathComponent.from('keep'), W.toNode()],
      [PathComponent.from('.keep'), empty],
      [
        PathComponent.from('aa'),
        { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') } as const,
      ],
    ])
    await using putter = services.directories.putMultipleStart()
    await putter.put(W)
    await putter.put(C)
    const digest = await putter.close()
    expect(digest.toHex()).toBe('3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a')
    const node: Node = { kind: 'directory', digest, size: 4n }
    const nar = await render(services, node)
    expect(nar).toHaveLength(840)
    const { narSize, narSha256 } = await calculateNar(services, node)
    expect([narSize, toHex(narSha256), sha256(nar)]).toEqual([
      840n,
      'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a',
      'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a',
    ])
  })

  it('09#70 a missing directory, with digest and name', async () => {
    const services = await make()
    const missing = B3Digest.from(new Uint8Array(32).fill(7))
    const node: Node = { kind: 'directory', digest: missing, size: 3n }
    const atRoot = await expectStoreError(() => render(services, node), 'directory-not-found')
    expect(atRoot.message).toContain(missing.toString())
    const parent = Directory.fromEntries([[PathComponent.from('the child'), node]])
    await services.directories.put(parent)
    const below = await expectStoreError(() => render(services, parent.toNode()), 'directory-not-found')
    expect(below.message).toContain(missing.toString())
    expect(below.message).toContain('the child')
  })

  it('09#70 an executable', async () => {
    const services = await make()
    const digest = await services.blobs.put(Buffer.from('#!/bin/sh\necho hi\n'))
    expect(sha256(await render(services, fileNode(digest, 18, true)))).toBe(
      '5e0accf02cedede5e4119ffa15e79e79a5fb1fb9bc43c3d434f33227a14477a0',
    )
  })

  it.each(NAR_VECTORS)('09#71 $id, from the host into the store and out again', async (vector) => {
    const services = await make()
    const path = join(temporaryFolder(), 'tree')
    vector.make(path)
    const sink = new NarHashSink()
    const { node } = await ingestPath(services, path, { sink })
    const nar = await render(services, node)
    expect([nar.length, sha256(nar)]).toEqual([vector.size, vector.sha256])
    expect(nar.equals(await collect(dumpPath(path)))).toBe(true)
    const { narSize, narSha256 } = await sink.finish()
    expect([Number(narSize), toHex(narSha256)]).toEqual([vector.size, vector.sha256])
  })

  it.each([1, 2, 3])('is the archive of any tree: %i', async (seed) => {
    const services = await make()
    const path = makeRandomTree(seed)
    const sink = new NarHashSink()
    const { node } = await ingestPath(services, path, { sink })
    const expected = await collect(dumpPath(path))
    expect((await render(services, node)).equals(expected)).toBe(true)
    const { narSize, narSha256 } = await sink.finish()
    expect([Number(narSize), toHex(narSha256)]).toEqual([expected.length, sha256(expected)])
  })

  it('of large files and of many files', async () => {
    const services = await make()
    const path = join(temporaryFolder(), 'tree')
    mkdirSync(join(path, 'many'), { recursive: true })
    const content = noise(9_000_000)
    for (let i = 0; i < 1500; i++) writeFileSync(join(path, 'many', `${i}`), content.subarray(i, i * 3))
    writeFileSync(join(path, 'large'), content)
    writeFileSync(join(path, 'zeros'), new Uint8Array(9_000_001))
    const { node } = await ingestPath(services, path)
    expect((await render(services, node)).equals(await collect(dumpPath(path)))).toBe(true)
  })

  it('of links with long targets, empty folders and files between them', async () => {
    const services = await make()
    const path = temporaryFolder()
    for (let i = 0; i < 600; i++) {
      const name = join(path, `${i}-${'n'.repeat(200)}`)
      symlinkSync(`${i}/${'target/'.repeat(570)}`, name)
      if (i % 7 === 0) mkdirSync(`${name}-folder`)
      if (i % 5 === 0) writeFileSync(`${name}-file`, noise(i))
    }
    const { node } = await ingestPath(services, path)
    expect((await render(services, node)).equals(await collect(dumpPath(path)))).toBe(true)
  })

  it('many at once', async () => {
    const services = await make()
    const path = makeRandomTree(9, 60)
    const { node } = await ingestPath(services, path)
    const expected = await collect(dumpPath(path))
    const nars = await Promise.all(Array.from({ length: 8 }, () => render(services, node)))
    for (const nar of nars) expect(nar.equals(expected)).toBe(true)
  })

  it('a signal ends it with its reason', async () => {
    const services = await make()
    const { node } = await ingestPath(services, makeRandomTree(4))
    const reason = new Error('enough')
    await expect(collect(renderNar(services, node, { signal: AbortSignal.abort(reason) }))).rejects.toBe(
      reason,
    )
    const controller = new AbortController()
    const pieces = async () => {
      for await (const _ of renderNar(services, node, { signal: controller.signal })) controller.abort(reason)
    }
    await expect(pieces()).rejects.toBe(reason)
  })

  it('may be left in the middle', async () => {
    const services = await make()
    const path = makeRandomTree(5)
    const { node } = await ingestPath(services, path)
    for await (const _ of renderNar(services, node)) break
    expect((await render(services, node)).equals(await collect(dumpPath(path)))).toBe(true)
  })
})

describe('rendering from one embedded store with shared threads', () => {
  class CountedThreads extends ContentThreads {
    ran = 0
    override run(task: ContentTask) {
      this.ran++
      return super.run(task)
    }
    override runHere(task: ContentTask) {
      this.ran++
      return super.runHere(task)
    }
  }

  it.each(['the NAR', 'its stored frames'])(
    'one NAR for many at once is read for all of them together: %s',
    async (form) => {
      const store = await temporaryStore()
      const content = noise(24 * 1024 * 1024)
      const node = fileNode(await store.blobs.put(content), content.length)
      await using threads = new CountedThreads(store.engine)
      const rendering = () =>
        form === 'the NAR' ? renderNar(store, node, { threads }) : compressNar(store, node, { threads })
      const expected = sha256(await collect(rendering()))
      const alone = threads.ran
      const all = Array.from({ length: 12 }, async (_, index) => {
        const hash = createHash('sha256')
        let pieces = 0
        for await (const piece of rendering()) {
          // One does not read on for a while, one leaves.
          if (index === 3 && pieces === 2) await Promise.all(all.filter((_, other) => other !== 3))
          if (index === 5 && pieces === 4) return expected
          hash.update(piece)
          pieces++
        }
        return hash.digest('hex')
      })
      expect(new Set(await Promise.all(all))).toEqual(new Set([expected]))
      expect(alone).toBeGreaterThan(20)
      expect(threads.ran - alone).toBeLessThan(4 * alone)
      expect(threads.aheadLeft).toBe(8)
    },
  )
})

describe('rendering', () => {
  it('07#29 09#65 a symlink needs no service', async () => {
    const refusing = new Proxy({}, { get: () => expect.unreachable(), has: () => false })
    const services = { blobs: refusing as BlobService, directories: refusing as DirectoryService }
    const node: Node = { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') }
    expect(toHex(await render(services, node))).toBe(N4)
  })

  it('does not care for names and types of services', async () => {
    const { blobs, directories } = memoryServices()
    const path = join(temporaryFolder(), 'c')
    makeComplicated(path)
    const { node } = await ingestPath({ blobs, directories }, path)
    const proxied = { blobs: Object.create(blobs) as BlobService, directories }
    expect(await render(proxied, node)).toHaveLength(840)
  })
})

/** What is delivered before an error. */
async function renderUntilError(store: LocalStore, node: Node): Promise<{ nar: Buffer; error: Error }> {
  const pieces: Buffer[] = []
  const error = await failureOf(async () => {
    for await (const piece of renderNar(store, node)) pieces.push(Buffer.from(piece))
  })
  return { nar: Buffer.concat(pieces), error }
}

describe('rendering what is damaged', () => {
  it.each([
    ['a small file', (tree: Buffer[]) => B3Digest.of(tree[5]!)],
    ['a file of one chunk', (tree: Buffer[]) => B3Digest.of(tree[500]!)],
    ['a chunk', undefined],
  ])('%s: data loss, and nothing wrong before it', async (_name, pick) => {
    const store = await temporaryStore()
    const path = join(temporaryFolder(), 'tree')
    mkdirSync(path)
    const contents = Array.from({ length: 700 }, (_, i) => noise(i === 500 ? 131_000 : 100 + i * 3, i + 1))
    for (const [i, content] of contents.entries()) writeFileSync(join(path, `${1000 + i}`), content)
    const large = noise(5_000_000, 99)
    writeFileSync(join(path, '1400'), large)
    writeFileSync(join(path, 'zz'), 'after')
    const { node } = await ingestPath(store, path)
    const expected = await collect(dumpPath(path))
    const chunks = (await store.blobs.chunks(B3Digest.of(large)))!
    const digest = pick === undefined ? chunks[9]!.digest : pick(contents)
    damage(store, digest)
    const { nar, error } = await renderUntilError(store, node)
    expect(error).toBeInstanceOf(DataLossError)
    expect(error.message).toContain(digest.toString())
    expect(nar.length).toBeLessThan(expected.length)
    expect(nar.equals(expected.subarray(0, nar.length))).toBe(true)
    await expect(store.importPath(path)).resolves.toMatchObject({ node })
    expect((await render(store, node)).equals(expected)).toBe(true)
  })

  it('a chunk that is missing', async () => {
    const store = await temporaryStore()
    const list = Buffer.alloc(72)
    for (const at of [0, 36]) {
      list.fill(at + 1, at, at + 32)
      list.writeUInt32LE(200_000, at + 32)
    }
    const digest = B3Digest.from(new Uint8Array(32).fill(9))
    const session = store.engine.write()
    session.put('blobs', digest.bytes, list)
    await session.commit()
    const { error } = await renderUntilError(store, fileNode(digest, 400_000))
    expect(error).toBeInstanceOf(DataLossError)
    expect(error.message).toContain(digest.toString())
  })

  it('a directory', async () => {
    const store = await temporaryStore()
    const path = join(temporaryFolder(), 'tree')
    makeComplicated(path)
    const { node } = await ingestPath(store, path)
    const keep = hex('8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e')
    const session = store.engine.write()
    session.put('directories', keep, Directory.EMPTY.encode())
    await session.commit()
    const { error } = await renderUntilError(store, node)
    expect(error).toBeInstanceOf(DataLossError)
  })
})
