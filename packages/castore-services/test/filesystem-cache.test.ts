import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import type { EmbeddedStore } from '@neve/embedded-store'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { encodeEntry, encodeRecord, FolderRecord, folderKey, settlingTime } from '../src/ingest/file-cache.js'
import { withSlash } from '../src/ingest/folder-records.js'
import {
  damageContent,
  type EmbeddedServices,
  embeddedServices,
  temporaryFolder,
} from './embedded-fixture.js'
import { contentOf } from './host-tree.js'

const NOISE = new SeededRandom(21).bytes(3_000_000)

/** Waits until what was last changed below `path` counts as settled: only the clock can tell. */
async function settle(path: string): Promise<void> {
  await wait(settlingTime(statfsSync(path).type) + 20)
}

async function makeTree(): Promise<string> {
  const root = temporaryFolder()
  mkdirSync(join(root, 'sub', 'deeper'), { recursive: true })
  writeFileSync(join(root, 'file'), 'first content')
  writeFileSync(join(root, 'sub', 'large'), NOISE)
  writeFileSync(join(root, 'sub', 'middle'), NOISE.subarray(0, 600_000))
  writeFileSync(join(root, 'sub', 'deeper', 'small'), 'small')
  writeFileSync(join(root, 'sub', 'deeper', 'empty'), '')
  writeFileSync(join(root, 'sub', 'deeper', 'program'), 'run', { mode: 0o755 })
  await settle(root)
  return root
}

async function freshNode(root: string) {
  const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
  return (await ingestPath(services, root)).node
}

const recordKey = (folder: string) => folderKey(withSlash(Buffer.from(folder)))

function recordOf(engine: EmbeddedStore, folder: string) {
  const record = engine.get('files', recordKey(folder))
  return record === undefined ? undefined : FolderRecord.decode(record)
}

async function blobIn(services: EmbeddedServices, root: string, content: Uint8Array): Promise<boolean> {
  await ingestPath(services, root)
  return (await contentOf(services.blobs, B3Digest.of(content))).equals(content)
}

describe('the record of the last import', () => {
  it('holds what every file looked like', async () => {
    const services = await embeddedServices()
    const root = await makeTree()
    await ingestPath(services, root)
    const record = recordOf(services.engine, join(root, 'sub'))!
    const large = record.find(Buffer.from('large'))!
    const stat = statSync(join(root, 'sub', 'large'))
    expect(record.device).toBe(stat.dev)
    expect(large).toMatchObject({
      inode: stat.ino,
      size: NOISE.length,
      modified: stat.mtimeMs,
      changed: stat.ctimeMs,
      executable: false,
    })
    expect(Buffer.from(large.digest)).toEqual(Buffer.from(B3Digest.of(NOISE).bytes))
    expect(record.find(Buffer.from('middle'))).toMatchObject({ size: 600_000 })
    const deeper = recordOf(services.engine, join(root, 'sub', 'deeper'))!
    expect(deeper.find(Buffer.from('program'))?.executable).toBe(true)
    await services.engine.close()
  })

  it('an unchanged file is taken from it, not read', async () => {
    const services = await embeddedServices()
    const root = await makeTree()
    const { node } = await ingestPath(services, root)
    expect((await ingestPath(services, root)).node).toEqual(node)

    // A record that says something else shows whether it is believed.
    const lie = await services.blobs.put(Buffer.from('other content'))
    const record = recordOf(services.engine, root)!
    const file = record.find(Buffer.from('file'))!
    const entry = encodeEntry(Buffer.from('file'), file.size, file.executable, lie.bytes, file)
    const session = services.engine.write()
    session.put('files', recordKey(root), encodeRecord(record.device, 1, [entry]))
    await session.commit()
    const believed = await ingestPath(services, root)
    const directory = await services.directories.get((believed.node as { digest: B3Digest }).digest)
    expect(directory?.entries[0]?.node).toMatchObject({ digest: lie, size: 13n })
    // Not believed: by request, and by whoever is to be told the contents.
    expect((await ingestPath(services, root, { fileCache: false })).node).toEqual(node)
    await services.engine.close()
  })

  const changes: [string, (root: string) => void][] = [
    [
      'other content, the same length and modification time',
      (root) => {
        const path = join(root, 'file')
        const { atime, mtime } = statSync(path)
        writeFileSync(path, 'FIRST CONTENT')
        utimesSync(path, atime, mtime)
      },
    ],
    [
      'another file put in its place',
      (root) => {
        const { atime, mtime } = statSync(join(root, 'file'))
        writeFileSync(join(root, 'new'), 'FIRST CONTENT')
        utimesSync(join(root, 'new'), atime, mtime)
        renameSync(join(root, 'new'), join(root, 'file'))
      },
    ],
    ['a touch', (root) => utimesSync(join(root, 'file'), 1, 1)],
    ['made executable', (root) => chmodSync(join(root, 'file'), 0o755)],
    ['made not executable', (root) => chmodSync(join(root, 'sub', 'deeper', 'program'), 0o644)],
    ['deleted', (root) => rmSync(join(root, 'file'))],
    ['a file more', (root) => writeFileSync(join(root, 'sub', 'added'), 'added')],
    ['appended to', (root) => writeFileSync(join(root, 'file'), 'more', { flag: 'a' })],
    ['a byte of a large file', (root) => writeFileSync(join(root, 'sub', 'large'), 'X', { flag: 'r+' })],
    ['renamed', (root) => renameSync(join(root, 'file'), join(root, 'other'))],
    [
      'two files in each other’s places',
      (root) => {
        renameSync(join(root, 'sub', 'deeper', 'small'), join(root, 'x'))
        renameSync(join(root, 'file'), join(root, 'sub', 'deeper', 'small'))
        renameSync(join(root, 'x'), join(root, 'file'))
      },
    ],
    [
      'a symlink in its place',
      (root) => {
        rmSync(join(root, 'file'))
        symlinkSync('sub/large', join(root, 'file'))
      },
    ],
    [
      'a folder in its place',
      (root) => {
        rmSync(join(root, 'file'))
        mkdirSync(join(root, 'file'))
      },
    ],
    ['a folder moved', (root) => renameSync(join(root, 'sub', 'deeper'), join(root, 'deeper'))],
  ]

  it.each(changes)('sees %s', async (_name, change) => {
    const services = await embeddedServices()
    const root = await makeTree()
    const { node } = await ingestPath(services, root)
    change(root)
    const expected = await freshNode(root)
    if (_name !== 'a touch') expect(expected).not.toEqual(node)
    expect((await ingestPath(services, root)).node).toEqual(expected)
    await settle(root)
    expect((await ingestPath(services, root)).node).toEqual(expected)
    expect((await ingestPath(services, root)).node).toEqual(expected)
    await services.engine.close()
  })

  it('says nothing of a file that may change again unseen', async () => {
    const services = await embeddedServices()
    const root = temporaryFolder()
    writeFileSync(join(root, 'settled'), 'a')
    writeFileSync(join(root, 'future'), 'b')
    const soon = Date.now() / 1000 + 3600
    utimesSync(join(root, 'future'), soon, soon)
    await settle(root)
    await ingestPath(services, root)
    expect(recordOf(services.engine, root)!.find(Buffer.from('future'))).toBeUndefined()
    expect(recordOf(services.engine, root)!.find(Buffer.from('settled'))).toMatchObject({ size: 1 })
    expect((await ingestPath(services, root)).node).toEqual(await freshNode(root))
    await services.engine.close()
  })

  it('is not believed where a file’s stored content is damaged: it is read and stored again', async () => {
    const services = await embeddedServices()
    const root = await makeTree()
    await ingestPath(services, root)
    const chunks = (await services.blobs.chunks(B3Digest.of(NOISE)))!
    const small = Buffer.from('first content')
    for (const digest of [B3Digest.of(small), chunks[2]!.digest]) damageContent(services.engine, digest.bytes)
    await expect(services.blobs.get(B3Digest.of(small))).rejects.toMatchObject({ code: 'data-loss' })
    const { newBytes } = await ingestPath(services, root)
    expect(newBytes).toBe(small.length + Number(chunks[2]!.size))
    expect(await blobIn(services, root, small)).toBe(true)
    expect(await blobIn(services, root, NOISE)).toBe(true)
    await services.engine.close()
  })

  it.each([
    ['gone', undefined],
    ['of another version', Uint8Array.of(9, 9, 9)],
    ['cut', null],
  ])('%s: everything is read again', async (_name, bytes) => {
    const services = await embeddedServices()
    const root = await makeTree()
    const { node } = await ingestPath(services, root)
    const session = services.engine.write()
    for (const folder of [root, join(root, 'sub')]) {
      const record = services.engine.get('files', recordKey(folder))!
      if (bytes === undefined) session.remove('files', recordKey(folder))
      else session.put('files', recordKey(folder), bytes ?? record.slice(0, -5))
    }
    await session.commit()
    expect((await ingestPath(services, root)).node).toEqual(node)
    expect(recordOf(services.engine, root)?.find(Buffer.from('file'))).toMatchObject({ size: 13 })
    await services.engine.close()
  })

  it('is used of a tree of which more changed than is worth reading without threads', async () => {
    const services = await embeddedServices()
    const root = temporaryFolder()
    const files = 1500
    const name = (index: number) => join(root, `${index}`.padStart(4, '0'))
    for (let index = 0; index < files; index++) writeFileSync(name(index), `${index}`)
    await settle(root)
    await ingestPath(services, root)
    let newBytes = 0
    for (let index = 300; index < 1200; index++) {
      newBytes += `changed ${index}`.length
      writeFileSync(name(index), `changed ${index}`)
    }
    await settle(root)
    const again = await ingestPath(services, root)
    expect(again.node).toEqual(await freshNode(root))
    expect(again.newBytes).toBe(newBytes)
    expect((await ingestPath(services, root)).newBytes).toBe(0)
    await services.engine.close()
  })

  it('survives closing the store, and is another’s for another path', async () => {
    const services = await embeddedServices()
    const root = await makeTree()
    const { node } = await ingestPath(services, root)
    await services.engine.close()
    const again = await embeddedServices(services.engine.path)
    const second = await ingestPath(again, root)
    expect(second).toMatchObject({ node, newBytes: 0, storedBytes: 0 })
    expect(readFileSync(join(root, 'file')).length).toBe(13)
    const moved = join(temporaryFolder(), 'moved')
    renameSync(root, moved)
    expect(await ingestPath(again, moved)).toMatchObject({ node, newBytes: 0 })
    mkdirSync(root)
    expect((await ingestPath(again, root)).node).toMatchObject({ digest: B3Digest.EMPTY })
    await again.engine.close()
  })

  it('is read back as it was written, and anything else gives a record or none', () => {
    const entry = fc.record({
      name: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      inode: fc.nat(),
      size: fc.nat(),
      modified: fc.double({ noNaN: true }),
      changed: fc.double({ noNaN: true }),
      executable: fc.boolean(),
      digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    })
    const nameOf = ({ name }: { name: Uint8Array }) => Buffer.from(name).toString('latin1')
    const entries = fc
      .uniqueArray(entry, { selector: nameOf, maxLength: 120 })
      .map((files) => files.sort((a, b) => Buffer.compare(a.name, b.name)))
    fc.assert(
      fc.property(entries, fc.nat(), fc.nat(), fc.nat({ max: 255 }), (files, device, at, byte) => {
        const encoded = files.map((file) => {
          return encodeEntry(file.name, file.size, file.executable, file.digest, file)
        })
        const bytes = encodeRecord(device, files.length, encoded)
        const read = FolderRecord.decode(bytes)!
        expect(read.device).toBe(device)
        for (const [index, file] of files.entries()) {
          const { name, digest, ...rest } = file
          // Some are passed over, and asked for too late.
          if (index % 3 === 1) continue
          const found = read.find(Buffer.from(name))!
          expect(found).toMatchObject(rest)
          expect(Buffer.from(found.digest).equals(digest)).toBe(true)
          expect(Buffer.from(found.bytes).equals(encoded[index]!)).toBe(true)
          expect(read.find(Buffer.from(name))).toBeUndefined()
        }
        expect(FolderRecord.decode(bytes.subarray(0, at % bytes.length))).toBeUndefined()
        bytes[at % bytes.length] = byte
        const damaged = FolderRecord.decode(bytes)
        for (const { name } of files) damaged?.find(Buffer.from(name))
      }),
      { numRuns: 100 },
    )
  })
})
