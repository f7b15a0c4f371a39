import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { B3Digest } from '@neve/castore-model'
import { type BlobService, type BlobWriter, CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  FileWorkers,
  IngestPathError,
  type IngestPathOptions,
  type IngestServices,
  ingestPath,
  type TreeSink,
} from '@neve/castore-services/ingest/filesystem'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { type EmbeddedServices, embeddedServices, temporaryFolder } from './embedded-fixture.js'
import { contentOf, makeFiles } from './host-tree.js'
import { sinkOf } from './tree-stream.js'

const MIB = 1024 * 1024
const NOISE = new SeededRandom(31).bytes(14 * MIB)

const memory = (): IngestServices => ({
  blobs: new MemoryBlobService(),
  directories: new MemoryDirectoryService(),
})

async function expectFailure(outcome: Promise<unknown>, code: string, path: string): Promise<void> {
  const error: unknown = await outcome.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(IngestPathError)
  const { code: actual, path: at } = error as IngestPathError
  expect([actual, Buffer.from(at).toString()]).toEqual([code, path])
}

const makeFifo = (path: string): void => {
  rmSync(path)
  execFileSync('mkfifo', [path])
}
const makeSymlink = (path: string): void => {
  rmSync(path)
  symlinkSync('/etc/passwd', path)
}

/** A sink that does something once: before the content of a large file, or in the midst of it. */
function sinkThat(moment: 'file' | 'content', act: () => void): TreeSink {
  let done = false
  return sinkOf((bytes) => {
    if (done || (moment === 'content' && bytes.length < MIB)) return
    done = true
    act()
  })
}

describe('a file that changes while it is read', () => {
  const whileRead: [string, (path: string) => void, string][] = [
    ['grows', (path) => appendFileSync(path, 'x'), 'file-changed'],
    ['shrinks', (path) => truncateSync(path, 5 * MIB), 'file-changed'],
    ['becomes empty', (path) => truncateSync(path, 0), 'file-changed'],
    ['is written over', (path) => writeFileSync(path, 'X', { flag: 'r+' }), 'file-changed'],
  ]
  const beforeRead: [string, (path: string) => void, string][] = [
    ['grows before', (path) => appendFileSync(path, 'x'), 'file-changed'],
    ['shrinks before', (path) => truncateSync(path, 10), 'file-changed'],
    ['becomes executable before', (path) => chmodSync(path, 0o755), 'file-changed'],
    ['is gone before', (path) => rmSync(path), 'blob-read'],
    ['is a symlink by then', makeSymlink, 'blob-read'],
    ['is a FIFO by then', makeFifo, 'file-type'],
  ]

  it.each([
    ...whileRead.map(([name, act, code]) => [name, 'content' as const, act, code] as const),
    ...beforeRead.map(([name, act, code]) => [name, 'file' as const, act, code] as const),
  ])('06 section 11 (6, 7) a large file that %s', async (_name, moment, act, code) => {
    const embedded = await embeddedServices()
    const workers = new FileWorkers(embedded.engine, 1)
    for (const [services, shared] of [
      [memory(), undefined],
      [embedded, workers],
    ] as const) {
      const path = join(temporaryFolder(), 'file')
      writeFileSync(path, NOISE)
      const sink = sinkThat(moment, () => act(path))
      await expectFailure(ingestPath(services, path, { sink, workers: shared }), code, path)
    }
    // The threads are as good as before, also for the file of the same name.
    const path = join(temporaryFolder(), 'file')
    writeFileSync(path, NOISE)
    expect((await ingestPath(embedded, path, { workers })).node).toMatchObject({ digest: B3Digest.of(NOISE) })
    await workers.close()
    await embedded.engine.close()
  })

  it('06 section 11 (7) a file in whose place stands something else since the folder was listed', async () => {
    const changes: [(path: string) => void, string][] = [
      [makeFifo, 'file-type'],
      [makeSymlink, 'blob-read'],
      [(path) => rmSync(path), 'blob-read'],
    ]
    for (const [change, code] of changes) {
      const root = temporaryFolder()
      writeFileSync(join(root, 'file'), 'x')
      const workers = new FileWorkers(undefined, 1)
      const run = workers.runHere.bind(workers)
      workers.runHere = (task) => {
        change(join(root, 'file'))
        return run(task)
      }
      await expectFailure(ingestPath(memory(), root, { workers }), code, join(root, 'file'))
    }
  })

  it('another file put in its place meanwhile does no harm', async () => {
    const root = temporaryFolder()
    const path = join(root, 'file')
    writeFileSync(path, NOISE)
    writeFileSync(join(root, 'other'), 'other')
    const sink = sinkThat('content', () => renameSync(join(root, 'other'), path))
    const services = memory()
    const { node } = await ingestPath(services, path, { sink })
    expect(node).toMatchObject({ digest: B3Digest.of(NOISE), size: BigInt(NOISE.length) })
    expect((await contentOf(services.blobs, B3Digest.of(NOISE))).equals(NOISE)).toBe(true)
  })

  it('all the time, by somebody else: what is stored is consistent, or the change is reported', async () => {
    const services = await embeddedServices()
    const root = temporaryFolder()
    const files = [join(root, 'small'), join(root, 'large')]
    writeFileSync(files[0]!, NOISE.subarray(0, 100_000))
    writeFileSync(files[1]!, NOISE.subarray(0, 9 * MIB))
    const meddler = new Worker(
      `const { workerData: files } = require('node:worker_threads')
       const fs = require('node:fs')
       for (let i = 1; ; i++) for (const file of files) {
         fs.truncateSync(file, (i * 7919) % 90000 + (file.endsWith('large') ? 8000000 : 0))
         fs.appendFileSync(file, Buffer.alloc((i * 104729) % 70000, i))
       }`,
      { eval: true, workerData: files },
    )
    await new Promise((resolve) => meddler.once('online', resolve))
    const workers = new FileWorkers(services.engine)
    let stored = 0
    try {
      for (let round = 0; round < 30; round++) {
        const path = files[round % 2]!
        try {
          const { node, bytes } = await ingestPath(services, path, { workers })
          if (node.kind !== 'file') throw new Error('expected a file')
          const content = await contentOf(services.blobs, node.digest)
          expect(B3Digest.of(content).equals(node.digest)).toBe(true)
          expect([BigInt(content.length), bytes]).toEqual([node.size, content.length])
          stored++
        } catch (error) {
          expect(error).toMatchObject({ name: 'IngestPathError', code: 'file-changed' })
        }
      }
    } finally {
      await meddler.terminate()
    }
    for (const path of files) await ingestPath(services, path, { workers })
    expect(stored).toBeLessThan(30)
    await workers.close()
    await services.engine.close()
  })
})

describe('cancelling', () => {
  it('before it starts: nothing is asked of the services', async () => {
    const reason = new Error('not now')
    const never = new Proxy({}, { get: (_, key) => (key === 'then' ? undefined : expect.unreachable()) })
    const services = { blobs: {} as BlobService, directories: never as MemoryDirectoryService }
    const outcome = ingestPath(services, makeFiles(temporaryFolder(), 5), {
      signal: AbortSignal.abort(reason),
    })
    await expect(outcome).rejects.toBe(reason)
  })

  it.each([
    ['between files', 'progress'],
    ['within a large file', 'content'],
  ])('%s: rejects with the reason, and the next import is whole', async (_name, moment) => {
    const root = makeFiles(temporaryFolder(), 700, 5)
    writeFileSync(join(root, 'large'), NOISE)
    const expected = await ingestPath(memory(), root)
    const services = await embeddedServices()
    const workers = new FileWorkers(services.engine, 2)
    for (let round = 0; round < 3; round++) {
      const controller = new AbortController()
      const reason = { because: round }
      const abort = () => controller.abort(reason)
      const options: IngestPathOptions = {
        workers,
        signal: controller.signal,
        ...(moment === 'progress' ? { onProgress: abort } : { sink: sinkThat('content', abort) }),
      }
      await expect(ingestPath(services, root, options)).rejects.toBe(reason)
    }
    expect((await ingestPath(services, root, { workers })).node).toEqual(expected.node)
    expect((await contentOf(services.blobs, B3Digest.of(NOISE))).equals(NOISE)).toBe(true)
    await workers.close()
    await services.engine.close()
  })

  it('leaves no file open', async () => {
    const root = temporaryFolder()
    const path = join(root, 'large')
    writeFileSync(path, NOISE)
    const services = await embeddedServices()
    const workers = new FileWorkers(services.engine, 1)
    const controller = new AbortController()
    const sink = sinkThat('content', () => controller.abort())
    await expect(ingestPath(services, path, { workers, sink, signal: controller.signal })).rejects.toThrow()
    const open = readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return []
      }
    })
    expect(open).not.toContain(path)
    await workers.close()
    await services.engine.close()
  })
})

describe('several ingestions with the same threads', () => {
  it('of the same large file at once do not mix', async () => {
    const root = temporaryFolder()
    const path = join(root, 'large')
    writeFileSync(path, NOISE)
    const services = await embeddedServices()
    const workers = new FileWorkers(services.engine, 1)
    const results = await Promise.all(
      Array.from({ length: 4 }, () => ingestPath(services, path, { workers })),
    )
    for (const { node } of results) expect(node).toMatchObject({ digest: B3Digest.of(NOISE) })
    expect((await contentOf(services.blobs, B3Digest.of(NOISE))).equals(NOISE)).toBe(true)
    await workers.close()
    await services.engine.close()
  })
})

/** Fails to write large blobs from some byte on, and small ones of some length. */
class FullBlobService extends MemoryBlobService {
  override openWrite(): BlobWriter {
    const writer = super.openWrite()
    let left = 5 * MIB
    return new Proxy(writer, {
      get: (target, key) => {
        if (key !== 'write') return Reflect.get(target, key).bind(target)
        return async (bytes: Uint8Array) => {
          left -= bytes.length
          if (left < 0) throw new CastoreError('storage', 'no space left')
          await target.write(bytes)
        }
      },
    })
  }

  override async put(content: Uint8Array): Promise<B3Digest> {
    if (content.length === 77) throw new CastoreError('storage', 'no space left')
    return super.put(content)
  }
}

describe('a service that fails', () => {
  it.each([
    ['a large file', new Uint8Array(40 * MIB)],
    ['a small file', NOISE.subarray(0, 77)],
  ])('while it takes %s: the error of the service, and no hanging', async (_name, content) => {
    const root = makeFiles(temporaryFolder(), 20, 9)
    writeFileSync(join(root, 'the one'), content)
    const directories = new MemoryDirectoryService()
    const outcome = ingestPath({ blobs: new FullBlobService(), directories }, root)
    await expect(outcome).rejects.toMatchObject({ name: 'CastoreError', code: 'storage' })
  })

  it('02#22 a closed store', async () => {
    const services = await embeddedServices()
    await services.engine.close()
    await expect(ingestPath(services, temporaryFolder())).rejects.toMatchObject({ code: 'closed' })
  })
})

/** Everything that is visible is whole: each directory's closure, each file's content. */
async function expectWhole({ engine, blobs, directories }: EmbeddedServices): Promise<number> {
  let seen = 0
  for (const [key] of engine.entries('directories')) {
    seen++
    for await (const directory of directories.getRecursive(B3Digest.from(key))) {
      for (const { node } of directory.entries) {
        if (node.kind === 'file') expect((await contentOf(blobs, node.digest)).length).toBe(Number(node.size))
      }
    }
  }
  return seen
}

describe('an import that fails half way', () => {
  it('leaves nothing of its own visible; the store works on', async () => {
    const root = makeFiles(temporaryFolder(), 800, 6)
    writeFileSync(join(root, '0', 'large'), NOISE)
    const fifo = join(root, 'zzz')
    execFileSync('mkfifo', [fifo])
    const services = await embeddedServices()
    const workers = new FileWorkers(services.engine)
    for (const shared of [undefined, workers, workers]) {
      await expectFailure(ingestPath(services, root, { workers: shared }), 'file-type', fifo)
    }
    expect(services.engine.count('directories')).toBe(0)
    expect(services.engine.count('files')).toBe(0)
    expect(services.engine.count('pathInfos')).toBe(0)

    // A later commit may publish what was written before it, but only what is whole.
    await services.blobs.put(Buffer.from('somebody else'))
    await expectWhole(services)

    rmSync(fifo)
    const { node } = await ingestPath(services, root, { workers })
    expect(node).toEqual((await ingestPath(memory(), root)).node)
    expect(await expectWhole(services)).toBeGreaterThan(20)
    await workers.close()
    await services.engine.close()
  })

  it('DESIGN decision 10: directories of another service come after their contents', async () => {
    const { engine, blobs } = await embeddedServices()
    const directories = new MemoryDirectoryService()
    const root = temporaryFolder()
    writeFileSync(join(root, 'file'), 'content')
    const start = directories.putMultipleStart.bind(directories)
    let visible: boolean | undefined
    directories.putMultipleStart = (options) => {
      const putter = start(options)
      const close = putter.close.bind(putter)
      putter.close = async () => {
        visible = await blobs.has(B3Digest.of(Buffer.from('content')))
        return close()
      }
      return putter
    }
    const { node } = await ingestPath({ blobs, directories }, root)
    expect(visible).toBe(true)
    expect(await directories.get((node as { digest: B3Digest }).digest)).toBeDefined()
    await engine.close()
  })
})
