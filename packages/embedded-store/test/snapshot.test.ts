import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { contentOf, keyOfSeed } from './seeded-content.mjs'
import { bytes, failure, keyOf, noise, segmentFiles, temporaryFolder, writeAll } from './support.js'

const CHILD = fileURLToPath(new URL('./crash-child.mjs', import.meta.url))

/** Writes so much that a segment is sealed, and a second one begun. */
async function fill(store: EmbeddedStore): Promise<Uint8Array[]> {
  const contents = Array.from({ length: 12 }, () => noise(100_000))
  for (const content of contents) await writeAll(store, [content])
  return contents
}

async function expectAll(store: EmbeddedStore, contents: readonly Uint8Array[]): Promise<void> {
  for (const content of contents) {
    expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
  }
}

describe('a snapshot', () => {
  it('is a store of its own, and shares the segments that are full', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'copy')
    await using store = await EmbeddedStore.open(join(folder, 'store'), { segmentSize: 1_000_000 })
    const contents = await fill(store)
    const session = store.write()
    session.put('directories', keyOf('d'), bytes('directory'))
    session.put('files', bytes('seen'), bytes('file'))
    await session.commit()
    const report = await store.snapshot(path)
    expect(report.segments).toBe(2)
    expect(report.sharedBytes).toBeGreaterThan(1_000_000)
    expect(report.copiedBytes).toBeGreaterThan(200_000)
    expect(report.copiedBytes).toBeLessThan(300_000)
    expect(segmentFiles(path)).toEqual(segmentFiles(store.path))
    const later = noise(50_000)
    await writeAll(store, [later])
    {
      await using copy = await EmbeddedStore.open(path, { segmentSize: 1_000_000 })
      await expectAll(copy, contents)
      expect(String(copy.get('directories', keyOf('d')))).toBe('directory')
      expect(String(copy.get('files', bytes('seen')))).toBe('file')
      expect(copy.hasContent(keyOf(later))).toBe(false)
      // Each goes on by itself.
      const own = noise(1_200_000)
      await writeAll(copy, [own])
      expect(store.hasContent(keyOf(own))).toBe(false)
    }
    await expectAll(store, [...contents, later])
    expect(await EmbeddedStore.rebuild(path)).toMatchObject({ skippedBytes: 0 })
  })

  it('shares nothing where that is asked for', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'copy')
    await using store = await EmbeddedStore.open(join(folder, 'store'), { segmentSize: 1_000_000 })
    const contents = await fill(store)
    expect(await store.snapshot(path, { copy: true })).toMatchObject({ sharedBytes: 0, segments: 2 })
    for (const name of segmentFiles(store.path)) truncateSync(join(store.path, 'segments', name), 100)
    await using copy = await EmbeddedStore.open(path, { readOnly: true })
    await expectAll(copy, contents)
  })

  it('takes no folder that has something in it, and leaves nothing behind when it is called off', async () => {
    const folder = temporaryFolder()
    await using store = await EmbeddedStore.open(join(folder, 'store'))
    await writeAll(store, [noise(1000)])
    const taken = join(folder, 'taken')
    mkdirSync(taken)
    writeFileSync(join(taken, 'file'), 'somebody has this')
    expect(await failure(() => store.snapshot(taken))).toBe('not-a-store')
    expect(readdirSync(taken)).toEqual(['file'])
    const path = join(folder, 'copy')
    const reason = new Error('called off')
    await expect(store.snapshot(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(readdirSync(folder).sort()).toEqual(['store', 'taken'])
    mkdirSync(path)
    expect(await store.snapshot(path)).toMatchObject({ segments: 1 })
    expect(await failure(() => store.snapshot(path))).toBe('not-a-store')
  })

  it('has all that was acknowledged before, while another process writes', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'store')
    const child = spawn(process.execPath, [CHILD, path, 'w', '200'], { stdio: ['pipe', 'pipe', 'inherit'] })
    const seeds: string[] = []
    const ended = new Promise((resolve) => child.on('close', resolve))
    let snapshots = 0
    let done = false
    let taking: Promise<void> = Promise.resolve()
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'ready') continue
      if (line === 'done') break
      seeds.push(...line.split(' ').slice(3))
      if (seeds.length < 300 * (snapshots + 1) || done) continue
      const [number, acknowledged] = [snapshots++, [...seeds]]
      done = snapshots === 4
      taking = taking.then(async () => {
        await using store = await EmbeddedStore.open(path, { readOnly: true })
        const target = join(folder, `copy ${number}`)
        await store.snapshot(target)
        await using copy = await EmbeddedStore.open(target, { readOnly: true })
        for (const seed of acknowledged) {
          const key = keyOfSeed(seed)
          expect(Buffer.compare((await copy.readContent(key))!, contentOf(seed))).toBe(0)
          expect(Buffer.compare(copy.get('directories', key)!, contentOf(`directory ${seed}`))).toBe(0)
        }
        // And all that it names is there, whole.
        for (const key of copy.contentKeys()) expect(await copy.readContent(key)).toBeDefined()
      })
    }
    await taking
    child.stdin.end()
    await ended
    expect(snapshots).toBe(4)
    expect(statSync(join(folder, 'copy 3', 'FORMAT')).size).toBeGreaterThan(0)
  })
})
