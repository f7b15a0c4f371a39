import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import type { BlobService } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ExportPathError, type ExportProgress, exportPath, fileContent } from '@neve/castore-services/export'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { EmbeddedStore } from '@neve/embedded-store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const scratch = mkdtempSync(join(tmpdir(), 'neve-export-'))
const original = join(scratch, 'original')
const large = new Uint8Array(5 * 1024 * 1024 + 13)
for (let i = 0; i < large.length; i += 1) large[i] = (i * 2654435761) >>> 13

let engine: EmbeddedStore
let count = 0
const fresh = (): string => join(scratch, `out-${++count}`)

beforeAll(async () => {
  mkdirSync(join(original, 'empty'), { recursive: true })
  mkdirSync(join(original, 'deep/er/est'), { recursive: true })
  writeFileSync(join(original, 'hello'), 'Hello World!')
  writeFileSync(join(original, 'nothing'), '')
  writeFileSync(join(original, 'deep/er/run'), '#!/bin/sh\n')
  chmodSync(join(original, 'deep/er/run'), 0o755)
  writeFileSync(join(original, 'large'), large)
  writeFileSync(Buffer.from(`${original}/caf\xe9\n`, 'latin1'), 'odd name')
  symlinkSync('/nix/store/somewhereelse', join(original, 'absolute'))
  symlinkSync('../../nowhere', join(original, 'deep/dangling'))
  symlinkSync(Buffer.from('caf\xe9', 'latin1'), join(original, 'odd-target'))
  engine = await EmbeddedStore.open(join(scratch, 'store'))
})

afterAll(async () => {
  await engine.close()
  rmSync(scratch, { recursive: true, force: true })
})

function expectEqualTrees(actual: string): void {
  execFileSync('diff', ['-r', '--no-dereference', original, actual])
  const modes = (root: string) =>
    execFileSync('find', [root, '-printf', '%m %P\\0'], { encoding: 'latin1' }).split('\0').sort()
  expect(modes(actual)).toEqual(modes(original))
}

const file = (digest: B3Digest, size: number): Node => ({
  kind: 'file',
  digest,
  size: BigInt(size),
  executable: false,
})
const name = (text: string): PathComponent => PathComponent.from(text)

describe.each([
  ['memory', () => ({ blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() })],
  [
    'embedded',
    () => ({ blobs: new EmbeddedBlobService(engine), directories: new EmbeddedDirectoryService(engine) }),
  ],
])('exportPath from %s services', (_, services) => {
  test('writes the tree that was ingested: bytes, names, links, modes', async () => {
    const from = services()
    const { node } = await ingestPath(from, original)
    const destination = fresh()
    const seen: ExportProgress[] = []
    const result = await exportPath(from, node, destination, { onProgress: (p) => seen.push(p) })
    expectEqualTrees(destination)
    expect(result).toEqual({
      files: 5,
      directories: 5,
      symlinks: 3,
      bytes: large.length + 12 + 10 + 8,
    })
    expect(seen.at(-1)).toEqual(result)
  })

  test('writes a file, an executable and a symlink as the root, also to a path of bytes', async () => {
    const from = services()
    for (const path of ['hello', 'deep/er/run', 'large']) {
      const { node } = await ingestPath(from, join(original, path))
      const destination = fresh()
      await exportPath(from, node, Buffer.from(destination))
      expect(readFileSync(destination).equals(readFileSync(join(original, path)))).toBe(true)
      expect(lstatSync(destination).mode).toBe(lstatSync(join(original, path)).mode)
    }
    const link = fresh()
    await exportPath(from, { kind: 'symlink', target: SymlinkTarget.from('a b') }, link)
    expect(readlinkSync(link)).toBe('a b')
  })

  test('refuses a destination that exists, and leaves it alone', async () => {
    const from = services()
    const { node } = await ingestPath(from, original)
    const folder = fresh()
    mkdirSync(folder)
    const dangling = fresh()
    symlinkSync(`${scratch}/target-of-link`, dangling)
    const hello = await ingestPath(from, join(original, 'hello'))
    for (const [root, destination] of [
      [node, folder],
      [node, `${folder}/`],
      [node, dangling],
      [hello.node, dangling],
      [hello.node, folder],
    ] as const) {
      await expect(exportPath(from, root, destination)).rejects.toMatchObject({
        name: 'ExportPathError',
        code: 'destination-exists',
        message: expect.stringContaining('it exists already'),
      })
    }
    expect(readdirSync(folder)).toEqual([])
    expect(existsSync(`${scratch}/target-of-link`)).toBe(false)
    expect(lstatSync(dangling).isSymbolicLink()).toBe(true)
  })

  test('names the path where the parent of the destination is missing', async () => {
    const error = await exportPath(services(), file(B3Digest.EMPTY, 0), join(scratch, 'no/such')).catch(
      (e) => e,
    )
    expect(error).toBeInstanceOf(ExportPathError)
    expect(error.code).toBe('write')
    expect(error.message).toBe(`cannot write ${scratch}/no/such: no such file or directory`)
  })

  test('a missing blob names the path and leaves nothing behind', async () => {
    const from = services()
    const there = await from.blobs.put(new TextEncoder().encode('there'))
    const directory = Directory.fromEntries([
      [name('a'), file(there, 5)],
      [name('b'), file(B3Digest.of(new Uint8Array(3)), 3)],
    ])
    await from.directories.put(directory)
    const destination = fresh()
    const error = await exportPath(from, directory.toNode(), destination).catch((e) => e)
    expect(error).toMatchObject({ name: 'ExportPathError', code: 'not-found' })
    expect(error.message).toContain(`${destination}/b: blob b3:`)
    expect(Buffer.from(error.path).toString()).toBe(`${destination}/b`)
    expect(existsSync(destination)).toBe(false)
  })

  test('a missing directory names the path and leaves nothing behind', async () => {
    const from = services()
    const lost = Directory.fromEntries([[name('x'), file(B3Digest.EMPTY, 0)]])
    const engineOnly = new MemoryDirectoryService()
    await engineOnly.put(lost)
    const parent = Directory.fromEntries([[name('sub'), lost.toNode()]])
    await engineOnly.put(parent)
    const get = async (digest: B3Digest) =>
      digest.equals(lost.digest()) ? undefined : engineOnly.get(digest)
    const destination = fresh()
    const error = await exportPath(
      { blobs: from.blobs, directories: { get } },
      parent.toNode(),
      destination,
    ).catch((e) => e)
    expect(error).toMatchObject({ name: 'ExportPathError', code: 'not-found' })
    expect(error.message).toContain(`${destination}/sub: directory b3:`)
    expect(existsSync(destination)).toBe(false)
  })

  test.each([11, 13])('a blob of another length than its node says (%d) is refused', async (size) => {
    const from = services()
    const digest = await from.blobs.put(new TextEncoder().encode('Hello World!'))
    const destination = fresh()
    await expect(exportPath(from, file(digest, size), destination)).rejects.toMatchObject({
      code: 'wrong-size',
    })
    expect(existsSync(destination)).toBe(false)
  })

  test('a large blob of another length is refused, and removed', async () => {
    const from = services()
    const { node } = await ingestPath(from, join(original, 'large'))
    if (node.kind !== 'file') throw new Error('not a file')
    for (const size of [node.size - 1n, node.size + 1n]) {
      const destination = fresh()
      await expect(exportPath(from, { ...node, size }, destination)).rejects.toMatchObject({
        code: 'wrong-size',
      })
      expect(existsSync(destination)).toBe(false)
    }
  })

  test('fileContent gives the bytes of small, large and empty files; nothing of one that is not stored', async () => {
    const from = services()
    for (const path of ['hello', 'large', 'nothing']) {
      const { node } = await ingestPath(from, join(original, path))
      if (node.kind !== 'file') throw new Error('not a file')
      const content = (await fileContent(from.blobs, node)) ?? expect.fail('not stored')
      const pieces: Uint8Array[] = []
      for await (const piece of content) pieces.push(piece.slice())
      expect(Buffer.concat(pieces).equals(readFileSync(join(original, path)))).toBe(true)
    }
    const absent = B3Digest.of(new Uint8Array(7))
    const node = { kind: 'file', digest: absent, size: 7n, executable: false } as const
    expect(await fileContent(from.blobs, node)).toBeUndefined()
  })

  test('a signal that has fired writes nothing; one that fires later removes what was written', async () => {
    const from = services()
    const { node } = await ingestPath(from, original)
    const destination = fresh()
    await expect(exportPath(from, node, destination, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    expect(existsSync(destination)).toBe(false)
    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('enough'))
    const run = exportPath(from, node, destination, { signal: controller.signal, onProgress })
    await expect(run).rejects.toThrow('enough')
    expect(existsSync(destination)).toBe(false)
  })
})

test('damage is told as data loss with the path, and nothing is left behind', async () => {
  const blobs = new MemoryBlobService()
  const { DataLossError } = await import('@neve/castore-services')
  const digest = B3Digest.of(new TextEncoder().encode('abc'))
  const damaged: BlobService = {
    ...blobs,
    has: async () => true,
    open: async () => undefined,
    openWrite: () => blobs.openWrite(),
    chunks: async () => [],
    put: (content) => blobs.put(content),
    get: async () => {
      throw new DataLossError(digest, 'test', `content of ${digest} hashes to something else`)
    },
  }
  const destination = fresh()
  const error = await exportPath(
    { blobs: damaged, directories: new MemoryDirectoryService() },
    file(digest, 3),
    destination,
  ).catch((e) => e)
  expect(error).toMatchObject({ name: 'ExportPathError', code: 'data-loss' })
  expect(error.message).toContain(destination)
  expect(error.cause).toBeInstanceOf(DataLossError)
  expect(existsSync(destination)).toBe(false)
})

test('a tree deeper than the host takes: the error says so, and nothing is left behind', async () => {
  const from = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
  const digest = await from.blobs.put(new Uint8Array(10))
  const inner = Directory.fromEntries([[name('x'.repeat(255)), file(digest, 10)]])
  let node: Node = inner.toNode()
  await from.directories.put(inner)
  for (let depth = 0; depth < 16; depth++) {
    const outer = Directory.fromEntries([[name('y'.repeat(255)), node]])
    await from.directories.put(outer)
    node = outer.toNode()
  }
  const destination = fresh()
  const error = await exportPath(from, node, destination).catch((e) => e)
  expect(error).toMatchObject({ name: 'ExportPathError', code: 'write' })
  expect(error.message).toContain('name too long')
  expect(existsSync(destination)).toBe(false)
})
