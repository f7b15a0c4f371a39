import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, type Node } from '@neve/castore-model'
import { blobStream, CastoreError } from '@neve/castore-services'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { FileObjectStore, MemoryObjectStore, type NewObject } from '@neve/castore-services/object-store'
import { expect, it } from 'vitest'
import { framedChunk } from '../src/blob/chunk-frames.js'
import { objectKey } from '../src/blob/object-layout.js'
import { collectBytes, randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { closureOf } from '../src/contract/directory-fixtures.js'
import { deferred, settled } from './deferred.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'
import { keysOf, WatchedStore } from './object-store-fixture.js'

const AVERAGES = [262144, 16384, 1048576, 512, 2097152]

/** A tree of small, larger and large files, some of them twice. */
function writeTree(): { readonly tree: string; readonly files: Map<string, Uint8Array> } {
  const tree = join(temporaryFolder(), 'tree')
  const files = new Map<string, Uint8Array>()
  mkdirSync(join(tree, 'sub'), { recursive: true })
  const add = (name: string, content: Uint8Array): void => {
    writeFileSync(join(tree, name), content)
    files.set(name, content)
  }
  for (let index = 0; index < 600; index++) add(`sub/small ${index}`, randomBlob(index * 7, index).content)
  add('empty', new Uint8Array(0))
  add('again', randomBlob(700, 100).content)
  add('cut', randomBlob(900_000, 1001).content)
  add('cut again', randomBlob(900_000, 1001).content)
  add('large', randomBlob(7_000_000, 1002).content)
  add('large zeros', new Uint8Array(5_000_000))
  symlinkSync('large', join(tree, 'link'))
  return { tree, files }
}

function services(averageChunkSize?: number) {
  const store = new WatchedStore(new MemoryObjectStore())
  const blobs = new ObjectStoreBlobService({ store, averageChunkSize })
  return { store, blobs, directories: new ObjectStoreDirectoryService({ store }) }
}

async function expectContents(to: ReturnType<typeof services>, root: Node, files: Map<string, Uint8Array>) {
  expect(root.kind).toBe('directory')
  if (root.kind !== 'directory') return
  let count = 0
  for (const directory of await closureOf(to.directories, root.digest)) {
    for (const { name, node } of directory.entries) {
      if (node.kind !== 'file') continue
      const content = files.get(name.toString()) ?? files.get(`sub/${name}`)
      await using reader = await to.blobs.open(node.digest)
      expect(sameBytes(await collectBytes(blobStream(reader!)), content!)).toBe(true)
      expect(await to.blobs.has(node.digest)).toBe(true)
      count++
    }
  }
  expect(count).toBe(files.size)
}

it.each(AVERAGES)('ingests a tree into an object store, cut with an average of %d', async (average) => {
  const { tree, files } = writeTree()
  const embedded = await embeddedServices()
  const expected = await ingestPath(embedded, tree)
  await embedded.engine.close()
  const to = services(average)
  const { node } = await ingestPath(to, tree)
  expect(node).toEqual(expected.node)
  await expectContents(to, node, files)
  // What is stored is what the service makes of each file by itself, the empty one included.
  const single = services(average)
  for (const content of files.values()) await single.blobs.put(content)
  const keys = await keysOf(to.store)
  expect(keys.filter((key) => !/^(dirs|neve)\//.test(key))).toEqual(await keysOf(single.store))
  expect(keys).toContain(objectKey('blobs', B3Digest.EMPTY))
  await to.blobs.close()
  await single.blobs.close()
})

it('02#24 writes nothing the second time, and heals what was damaged', async () => {
  const { tree, files } = writeTree()
  const to = services()
  const first = await ingestPath(to, tree)
  to.store.calls.length = 0
  await ingestPath(to, tree)
  expect(to.store.count('put')).toBe(0)
  expect(to.store.count('putIfAbsent')).toBe(0)
  const chunks = await keysOf(to.store, 'chunks/')
  for (const [index, key] of chunks.entries()) {
    if (index % 5 === 0) await to.store.inner.delete(key)
    if (index % 5 === 1) await to.store.inner.put(key, new Uint8Array(3))
  }
  const again = await ingestPath(to, tree)
  expect(again.node).toEqual(first.node)
  await expectContents(to, again.node, files)
})

it('stores no directory when a blob cannot be stored, and stops', async () => {
  const { tree } = writeTree()
  const to = services()
  const full = new CastoreError('storage', 'the disk is full')
  let puts = 0
  to.store.before = (call) => {
    if (call.startsWith('put') && ++puts > 50) throw full
  }
  await expect(ingestPath(to, tree)).rejects.toBe(full)
  expect(await keysOf(to.store, 'dirs/')).toEqual([])
  expect(puts).toBeLessThan(200)
  rmSync(tree, { recursive: true })
})

it('lists a large blob when all of its chunks are durable', async () => {
  const { tree } = writeTree()
  const known = services()
  await ingestPath(known, join(tree, 'large'))
  const chunks = await keysOf(known.store, 'chunks/')
  expect(chunks.length).toBeGreaterThan(2)
  const to = services()
  const list = objectKey('blobs', B3Digest.of(randomBlob(7_000_000, 1002).content))
  const others = deferred<void>()
  let stored = 0
  const early: string[] = []
  to.store.before = async (call, key) => {
    if (call === 'putIfAbsent' && key === list && stored < chunks.length) early.push(`${stored} chunks`)
    if (!call.startsWith('put') || !key.startsWith('chunks/')) return
    // The first chunk is the last one to be stored.
    if (key === chunks[0]) {
      await others.promise
      await settled()
    }
    if (++stored === chunks.length - 1) others.resolve()
  }
  await ingestPath(to, join(tree, 'large'))
  expect(stored).toBe(chunks.length)
  expect(to.store.count('putIfAbsent', list)).toBe(1)
  expect(early).toEqual([])
})

it('writes what is new by few calls where the store can, and heals what was among it', async () => {
  const calls: number[] = []
  class CountingStore extends FileObjectStore {
    override async putAllIfAbsent(objects: readonly NewObject[], options = {}) {
      calls.push(objects.length)
      return super.putAllIfAbsent(objects, options)
    }
  }
  const store = new CountingStore({ root: temporaryFolder() })
  const blobs = new ObjectStoreBlobService({ store })
  const contents = Array.from({ length: 100 }, (_, index) => randomBlob(1000 + index, index).content)
  const framed = contents.map((content) => {
    const digest = B3Digest.of(content)
    return { digest, chunks: [{ digest, size: content.length, frame: framedChunk(content) }] }
  })
  await blobs.putFramed(framed.slice(0, 40))
  expect(calls).toEqual([40])
  await store.put(objectKey('chunks', framed[70]!.digest), Buffer.from('damaged'))
  await store.put(objectKey('blobs', framed[71]!.digest), Buffer.from('damaged'))
  await Promise.all([blobs.putFramed(framed.slice(30)), blobs.putFramed(framed.slice(50, 80))])
  for (const [index, { digest }] of framed.entries()) {
    expect(sameBytes(await blobs.get(digest), contents[index]!)).toBe(true)
    expect(await store.get(objectKey('blobs', digest))).toHaveLength(0)
  }
  expect(calls.length).toBeLessThan(7)
  await blobs.close()
  await store.close()
})
