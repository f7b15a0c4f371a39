import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  FileWorkers,
  type IngestProgress,
  type IngestServices,
  ingestPath,
} from '@neve/castore-services/ingest/filesystem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { LARGE_FILE, SLOT_RAW } from '../src/ingest/file-tasks-protocol.js'
import { type EmbeddedServices, embeddedServices, temporaryFolder } from './embedded-fixture.js'
import { contentOf, expectedChunks, makeComplicated, makeFiles } from './host-tree.js'
import { Recorder } from './tree-stream.js'

const MIB = 1024 * 1024
const NOISE = new SeededRandom(11).bytes(20 * MIB)
const around = (size: number) => [size - 1, size, size + 1]
const SIZES = [
  ...[0, 1, 4096],
  ...[131072, 262144, 524288, LARGE_FILE, SLOT_RAW].flatMap(around),
  ...[SLOT_RAW + 2, 2 * SLOT_RAW, 2 * SLOT_RAW + 1, 20 * MIB],
]

/** Contents by name: noise and zeros of every length. */
const contents = new Map<string, Uint8Array>()
for (const size of SIZES) {
  contents.set(`noise-${size}`, NOISE.subarray(NOISE.length - size))
  if (size >= 4096) contents.set(`zeros-${size}`, new Uint8Array(size))
}

const memory = (): IngestServices => ({
  blobs: new MemoryBlobService(),
  directories: new MemoryDirectoryService(),
})

describe('contents of every length', () => {
  const root = temporaryFolder()
  let services: EmbeddedServices
  beforeAll(async () => {
    for (const [name, content] of contents) writeFileSync(join(root, name), content)
    services = await embeddedServices()
  })
  afterAll(() => services.engine.close())

  it('02#6 embedded: chunks are those of FastCDC, contents read back, nodes tell digest and size', async () => {
    const { node, bytes } = await ingestPath(services, root)
    expect(bytes).toBe([...contents.values()].reduce((sum, { length }) => sum + length, 0))
    const { entries } = (await services.directories.get((node as { digest: B3Digest }).digest))!
    expect(entries).toHaveLength(contents.size)
    for (const { name, node } of entries) {
      const content = contents.get(name.toString())!
      const digest = B3Digest.of(content)
      expect(node).toEqual({ kind: 'file', digest, size: BigInt(content.length), executable: false })
      const chunks = (await services.blobs.chunks(digest))!
      expect(chunks.map(({ digest, size }) => ({ digest: digest.toHex(), size }))).toEqual(
        expectedChunks(content),
      )
      expect((await contentOf(services.blobs, digest)).equals(content), name.toString()).toBe(true)
    }
  })

  it('memory: the same node, contents read back', async () => {
    const other = memory()
    const { node, newBytes } = await ingestPath(other, root)
    expect(node).toEqual((await ingestPath(services, root)).node)
    expect(newBytes).toBe([...contents.values()].reduce((sum, { length }) => sum + length, 0))
    for (const [name, content] of contents) {
      expect((await contentOf(other.blobs, B3Digest.of(content))).equals(content), name).toBe(true)
    }
  })

  it('each as the root gives the same node as in the tree', async () => {
    const workers = new FileWorkers(services.engine)
    for (const [name, content] of contents) {
      const { node } = await ingestPath(services, join(root, name), { workers })
      const expected = { digest: B3Digest.of(content), size: BigInt(content.length) }
      expect(node, name).toEqual({ kind: 'file', ...expected, executable: false })
    }
    await workers.close()
  })

  it('one blob service and one ingestion cut alike', async () => {
    const other = await embeddedServices()
    for (const size of [131073, 524289, 1048577, 2 * SLOT_RAW + 1]) {
      const content = contents.get(`noise-${size}`)!
      const digest = await other.blobs.put(content)
      expect(await other.blobs.chunks(digest)).toEqual(await services.blobs.chunks(digest))
    }
    await other.engine.close()
  })
})

describe('deduplication', () => {
  it('the same content twice in a tree is stored once', async () => {
    const services = await embeddedServices()
    const root = temporaryFolder()
    for (const name of ['one', 'two']) {
      mkdirSync(join(root, name))
      writeFileSync(join(root, name, 'small'), NOISE.subarray(0, 5000))
      writeFileSync(join(root, name, 'large'), NOISE.subarray(0, 3 * MIB))
    }
    const first = await ingestPath(services, root)
    expect(first.bytes).toBe(2 * (5000 + 3 * MIB))
    expect(first.newBytes).toBe(5000 + 3 * MIB)
    expect(first.storedBytes).toBeGreaterThan(first.newBytes)
    expect(first.storedBytes).toBeLessThan(first.newBytes * 1.01)
    await services.engine.close()
  })

  it.each([
    ['known from the last import', true],
    ['read again', false],
  ])('a second import stores nothing, files %s', async (_how, fileCache) => {
    const services = await embeddedServices()
    const root = makeFiles(temporaryFolder(), 400, 3)
    writeFileSync(join(root, 'large'), NOISE.subarray(0, 5 * MIB))
    const first = await ingestPath(services, root)
    const second = await ingestPath(services, root, { fileCache })
    expect(second).toEqual({ ...first, newBytes: 0, storedBytes: 0 })
    await services.engine.close()
  })

  it('compressible contents take less room', async () => {
    const services = await embeddedServices()
    const root = temporaryFolder()
    writeFileSync(join(root, 'text'), 'all work and no play '.repeat(40_000))
    const { newBytes, storedBytes } = await ingestPath(services, root)
    expect(newBytes).toBeGreaterThan(800_000)
    expect(storedBytes).toBeLessThan(newBytes / 20)
    await services.engine.close()
  })
})

describe('a sink', () => {
  const file = (name: string, content: Uint8Array, executable = false) => [
    `entry ${name}`,
    `file ${executable} ${content.length}`,
    `content ${B3Digest.of(content).toHex()}`,
    'end',
  ]

  it('is told the tree in the order of a NAR', async () => {
    const root = temporaryFolder()
    mkdirSync(join(root, 'a'))
    mkdirSync(join(root, 'empty'))
    writeFileSync(join(root, 'a', 'z'), 'deep', { mode: 0o755 })
    writeFileSync(join(root, "a'"), 'x')
    writeFileSync(join(root, 'a-b'), '')
    writeFileSync(join(root, 'a.txt'), NOISE.subarray(0, 9 * MIB))
    writeFileSync(join(root, 'B'), NOISE.subarray(0, 200_000))
    symlinkSync('../somewhere', join(root, '_'))
    const expected = [
      '{',
      ...file('B', NOISE.subarray(0, 200_000)),
      ...['entry _', 'link ../somewhere', 'end'],
      ...['entry a', '{', ...file('z', Buffer.from('deep'), true), '}', 'end'],
      ...file("a'", Buffer.from('x')),
      ...file('a-b', Buffer.alloc(0)),
      ...file('a.txt', NOISE.subarray(0, 9 * MIB)),
      ...['entry empty', '{', '}', 'end'],
      '}',
    ]
    const embedded = await embeddedServices()
    for (const services of [memory(), embedded, embedded]) {
      const sink = new Recorder()
      await ingestPath(services, root, { sink })
      expect(sink.events).toEqual(expected)
    }
    await embedded.engine.close()
  })

  it('is told a root that is no folder', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), 'Hello')
    symlinkSync('there', join(folder, 'link'))
    const events = async (name: string) => {
      const sink = new Recorder()
      await ingestPath(memory(), join(folder, name), { sink })
      return sink.events
    }
    expect(await events('file')).toEqual(file('', Buffer.from('Hello')).slice(1, -1))
    expect(await events('link')).toEqual(['link there'])
    expect(await events('../complicated/..'.replace('../complicated/..', '.'))).toHaveLength(9)
  })

  it('gets the bytes of large files unharmed while many are stored already', async () => {
    const services = await embeddedServices()
    const workers = new FileWorkers(services.engine, 1)
    const root = temporaryFolder()
    for (let i = 0; i < 3; i++) {
      makeFiles(join(root, `${i}`), 300, i)
      writeFileSync(join(root, `${i}`, 'zeros'), new Uint8Array(20 * MIB))
      writeFileSync(join(root, `${i}`, 'noise'), NOISE)
    }
    const runs = [new Recorder(), new Recorder()]
    for (const sink of runs) await ingestPath(services, root, { sink, workers })
    const zeros = `content ${B3Digest.of(new Uint8Array(20 * MIB)).toHex()}`
    const noise = `content ${B3Digest.of(NOISE).toHex()}`
    for (const { events } of runs) {
      expect(events.filter((event) => event === zeros)).toHaveLength(3)
      expect(events.filter((event) => event === noise)).toHaveLength(3)
    }
    expect(runs[1]!.events).toEqual(runs[0]!.events)
    await workers.close()
    await services.engine.close()
  })
})

describe('progress', () => {
  it('only grows, and ends at the totals', async () => {
    const root = makeFiles(temporaryFolder(), 900, 4)
    symlinkSync('x', join(root, 'link'))
    const seen: IngestProgress[] = []
    const result = await ingestPath(memory(), root, { onProgress: (progress) => seen.push({ ...progress }) })
    expect(seen.length).toBeGreaterThan(3)
    for (const [i, progress] of seen.entries()) {
      for (const key of ['files', 'directories', 'symlinks', 'bytes'] as const) {
        expect(progress[key]).toBeGreaterThanOrEqual(seen[i - 1]?.[key] ?? 0)
      }
    }
    const { files, directories, symlinks, bytes } = result
    expect(seen.at(-1)).toEqual({ files, directories, symlinks, bytes })
    expect({ files, symlinks }).toEqual({ files: 900, symlinks: 1 })
  })

  it('the fixture "complicated" leaves no trace in another tree', async () => {
    const result = await ingestPath(memory(), makeComplicated(temporaryFolder()))
    expect(result).toMatchObject({ files: 2, directories: 2, symlinks: 1, bytes: 0, newBytes: 0 })
  })
})
