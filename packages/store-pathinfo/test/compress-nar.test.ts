import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, type Node } from '@neve/castore-model'
import { DataLossError } from '@neve/castore-services'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { dumpPath } from '@neve/nar/node'
import { calculateNar, compressNar, type LocalStore, type NarServices } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { makeRandomTree, NAR_VECTORS, noise } from './host-trees.js'
import { makeCache, PrivateNix } from './nix-cache.js'
import {
  collect,
  expectStoreError,
  failureOf,
  memoryServices,
  nixIsThere,
  programIsThere,
  temporaryFolder,
  temporaryStore,
  toHex,
} from './support.js'

const zstdIsThere = programIsThere('zstd')

/** What the `zstd` command makes of a stream. */
function expand(stream: Uint8Array): Buffer {
  const { status, stdout, stderr } = spawnSync('zstd', ['-dc'], { input: stream, maxBuffer: 2 ** 28 })
  if (status !== 0) throw new Error(`zstd: ${stderr}`)
  return stdout
}

/** Text, of which the same seed gives the same. */
const text = (length: number, seed: number): Buffer =>
  Buffer.from(noise(length, seed).toString('hex').replaceAll(/[0-7]/g, ' neve ')).subarray(0, length)

/** Compressed and raw records of all sizes, of one chunk and of many, and files that follow each other closely. */
function makeTree(): string {
  const path = makeRandomTree(55, 60)
  const many = join(path, 'many')
  mkdirSync(many)
  for (let i = 0; i < 900; i++) {
    const content = i % 3 === 0 ? noise(i, i + 1) : text(i * 7, i + 1)
    writeFileSync(join(many, `${i}`), content)
    if (i % 5 === 0) chmodSync(join(many, `${i}`), 0o755)
  }
  writeFileSync(join(path, 'random'), noise(3_000_000, 7))
  writeFileSync(join(path, 'text'), text(4_000_000, 8))
  writeFileSync(join(path, 'zeros'), new Uint8Array(5_000_001))
  return path
}

it('zstd and nix-store are there, where they are required', ({ skip }) => {
  if (!(zstdIsThere && nixIsThere) && process.env['NEVE_TEST_REQUIRE'] !== 'all') {
    skip('zstd or nix-store is not installed')
  }
  expect([zstdIsThere, nixIsThere]).toEqual([true, true])
})

describe.skipIf(!zstdIsThere).each([
  ['memory', async (): Promise<NarServices> => memoryServices()],
  ['embedded', async (): Promise<NarServices> => temporaryStore()],
])('a compressed NAR from %s services (needs zstd)', (_name, make) => {
  it.each(NAR_VECTORS)('expands to the NAR: $id', async ({ make: makeTreeAt }) => {
    const services = await make()
    const path = join(temporaryFolder(), 'tree')
    makeTreeAt(path)
    const { node } = await ingestPath(services, path)
    expect(expand(await collect(compressNar(services, node))).equals(await collect(dumpPath(path)))).toBe(
      true,
    )
  })

  it('expands to the NAR: records of all kinds', async () => {
    const services = await make()
    const path = makeTree()
    const { node } = await ingestPath(services, path)
    const nar = await collect(dumpPath(path))
    const compressed = await collect(compressNar(services, node))
    expect(expand(compressed).equals(nar)).toBe(true)
    expect(compressed.length).toBeLessThan(nar.length * 0.8)
    const checked = await collect(compressNar(services, node, { check: 'digest' }))
    expect(checked.equals(compressed)).toBe(true)
  })

  it('many at once', async () => {
    const services = await make()
    const path = makeRandomTree(9, 60)
    const { node } = await ingestPath(services, path)
    const expected = await collect(dumpPath(path))
    const streams = await Promise.all(Array.from({ length: 6 }, () => collect(compressNar(services, node))))
    for (const stream of streams) expect(expand(stream).equals(expected)).toBe(true)
  })

  it.each([0, 1, 42, 3_000_000])('a node of %i bytes whose blob has 200,000', async (size) => {
    const services = await make()
    const digest = await services.blobs.put(text(200_000, 3))
    const node: Node = { kind: 'file', digest, size: BigInt(size), executable: false }
    const error = await expectStoreError(() => collect(compressNar(services, node)), 'wrong-size')
    expect(error.message).toContain(`200000 bytes, its node says ${size}`)
  })

  it('an absent blob, an absent directory', async () => {
    const services = await make()
    const digest = B3Digest.from(new Uint8Array(32).fill(7))
    const file: Node = { kind: 'file', digest, size: 5n, executable: false }
    await expectStoreError(() => collect(compressNar(services, file)), 'blob-not-found')
    const directory: Node = { kind: 'directory', digest, size: 5n }
    await expectStoreError(() => collect(compressNar(services, directory)), 'directory-not-found')
  })

  it('a signal ends it with its reason, and it may be left in the middle', async () => {
    const services = await make()
    const { node } = await ingestPath(services, makeTree())
    const reason = new Error('enough')
    const aborted = compressNar(services, node, { signal: AbortSignal.abort(reason) })
    await expect(collect(aborted)).rejects.toBe(reason)
    const controller = new AbortController()
    const pieces = async () => {
      for await (const _ of compressNar(services, node, { signal: controller.signal })) {
        controller.abort(reason)
      }
    }
    await expect(pieces()).rejects.toBe(reason)
    for await (const _ of compressNar(services, node)) break
    expect((await collect(compressNar(services, node))).length).toBeGreaterThan(0)
  })
})

describe('stored frames', () => {
  it('leave as they are: no byte of a record is changed', async () => {
    const store = await temporaryStore()
    const content = text(100_000, 4)
    const { node } = await ingestPath(store, fileOf(content))
    const stream = await collect(compressNar(store, node))
    const { storedLength, rawLength } = store.engine.locate(B3Digest.of(content).bytes)!
    expect([rawLength, storedLength < rawLength]).toEqual([content.length, true])
    const stored = (await store.engine.contentReader().read(B3Digest.of(content).bytes))!
    const start = 12 + 96
    expect(stream.subarray(start, start + storedLength).equals(Buffer.from(stored.payload))).toBe(true)
    // Before it a frame of the 96 bytes of framing, behind it one of 16.
    expect(stream).toHaveLength(start + storedLength + 12 + 16)
    expect(toHex(stream.subarray(0, 12))).toBe('28b52ffda060000000010300')
  })

  it.each(['checksum', 'digest'] as const)(
    'that are damaged are data loss, with the check of the %s',
    async (check) => {
      for (const [content, what] of [
        [text(100_000, 5), 'a compressed record'],
        [noise(100_000, 6), 'a raw record'],
        [text(3_000_000, 7), 'a chunk'],
      ] as const) {
        const store = await temporaryStore()
        const { node } = await ingestPath(store, fileOf(content))
        const digest = B3Digest.of(content)
        const chunks = (await store.blobs.chunks(digest))!
        const damaged = chunks[3]?.digest ?? digest
        damage(store, damaged)
        const error = await failureOf(() => collect(compressNar(store, node, { check })))
        expect(error, what).toBeInstanceOf(DataLossError)
        expect(error.message).toContain(damaged.toString())
      }
    },
  )

  it('with the check of the digest, a sound record of other content is found out', async () => {
    for (const [lie, check] of [
      [text(4000, 9), 'digest'],
      [noise(4000, 10), 'checksum'],
    ] as const) {
      const store = await temporaryStore()
      const digest = B3Digest.of(Buffer.from('something else'))
      const session = store.engine.write()
      session.appendContent(digest.bytes, lie)
      await session.commit()
      const node: Node = { kind: 'file', digest, size: 4000n, executable: false }
      const error = await failureOf(() => collect(compressNar(store, node, { check })))
      expect(error).toBeInstanceOf(DataLossError)
      expect(error.message).toContain('another hash')
    }
  })
})

function fileOf(content: Uint8Array): string {
  const path = join(temporaryFolder(), 'file')
  writeFileSync(path, content)
  return path
}

describe.skipIf(!nixIsThere)('09 section 16 real Nix (needs nix-store)', () => {
  it('takes a compressed NAR out of a binary cache, and has the very tree', async () => {
    const nix = new PrivateNix()
    const store: LocalStore = await temporaryStore()
    const path = makeTree()
    const { storePath, node } = await store.importPath(path)
    const bytes = await collect(store.compressedNar(storePath))
    const { narSize, narSha256 } = await calculateNar(store, node)
    const name = storePath.toAbsolute()
    const cache = makeCache(
      name,
      { file: 'made.nar.zst', bytes, compression: 'zstd' },
      { narSize, narHash: `sha256:${toHex(narSha256)}` },
    )
    const root = nix.root('to')
    nix.run('nix', 'copy', '--no-check-sigs', '--from', `file://${cache}`, '--to', root, name)
    nix.run('nix-store', '--store', root, '--verify', '--check-contents')
    const dumped = nix.run('nix-store', '--dump', join(root, name))
    expect(dumped.equals(await collect(dumpPath(path)))).toBe(true)
  })
})
