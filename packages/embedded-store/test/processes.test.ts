import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { expect, it } from 'vitest'
import { contentOf, keyOfSeed } from './seeded-content.mjs'
import { bytes, failure, keyOf, segmentFiles, temporaryFolder } from './support.js'

const CHILD = fileURLToPath(new URL('./crash-child.mjs', import.meta.url))

/** A writer of so many rounds, which keeps its segment until it is let go. */
class Writer {
  readonly done: Promise<void>
  readonly #child: ChildProcessByStdio<Writable, Readable, null>

  constructor(folder: string, prefix: string, rounds: number, onSeeds: (seeds: string[]) => void) {
    this.#child = spawn(process.execPath, [CHILD, folder, prefix, String(rounds)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.done = new Promise((resolve, reject) => {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        if (line.startsWith('ack ')) onSeeds(line.split(' ').slice(3))
        if (line === 'done') resolve()
      })
      this.#child.on('close', (code) => reject(new Error(`ended too early, with ${code}`)))
    })
  }

  letGo(): Promise<number | null> {
    this.#child.stdin.end()
    return new Promise((resolve) => this.#child.on('close', resolve))
  }
}

it('four processes write at once while this one reads what each has acknowledged', async () => {
  const folder = join(temporaryFolder(), 'store')
  await using reader = await EmbeddedStore.open(folder)
  const byProcess = new Map<string, string[]>()
  const writers = ['w', 'x', 'y', 'z'].map((prefix) => {
    const seen: string[] = []
    byProcess.set(prefix, seen)
    return new Writer(folder, prefix, 25, (seeds) => {
      seen.push(...seeds)
      reader.refresh()
      for (const seed of seeds) expect(reader.hasContent(keyOfSeed(seed)), seed).toBe(true)
    })
  })
  await Promise.all(writers.map((writer) => writer.done))
  expect(await Promise.all(writers.map((writer) => writer.letGo()))).toEqual([0, 0, 0, 0])

  const owner = new Map<number, string>()
  for (const [prefix, seeds] of byProcess) {
    expect(seeds.length).toBeGreaterThan(75)
    for (const seed of seeds) {
      const key = keyOfSeed(seed)
      expect(Buffer.compare((await reader.readContent(key))!, contentOf(seed))).toBe(0)
      expect(Buffer.compare(reader.get('directories', key)!, contentOf(`directory ${seed}`))).toBe(0)
      const segment = reader.locate(key)!.segment
      expect(owner.get(segment) ?? prefix).toBe(prefix)
      owner.set(segment, prefix)
    }
  }
  expect(owner.size).toBeGreaterThanOrEqual(4)
  expect(segmentFiles(folder).length).toBeGreaterThanOrEqual(owner.size)
})

it('a rebuild is refused while anybody has the store open', async () => {
  const folder = temporaryFolder()
  const store = await EmbeddedStore.open(folder)
  const session = store.write()
  session.appendContent(keyOf('content'), bytes('content'))
  await session.commit()
  expect(await failure(() => EmbeddedStore.rebuild(folder))).toBe('busy')
  expect(store.hasContent(keyOf('content'))).toBe(true)
  await store.close()
  expect((await EmbeddedStore.rebuild(folder)).records).toBe(1)
})

it('one long synchronous loop sees its own snapshot, and what came since after refresh', async () => {
  const folder = temporaryFolder()
  await using writer = await EmbeddedStore.open(folder)
  await using reader = await EmbeddedStore.open(folder, { readOnly: true })
  const session = writer.write()
  const keys = Array.from({ length: 2000 }, (_, i) => keyOf(`${i}`))
  for (const [i, key] of keys.entries()) session.appendContent(key, bytes(`${i}`))
  await session.commit()
  const again = writer.write()
  for (const key of keys) again.appendContent(key, bytes('again'))
  const committed = again.commit()
  let found = 0
  for (let round = 0; round < 50; round++) {
    for (const key of keys) if (reader.hasContent(key)) found++
  }
  expect(found).toBe(50 * keys.length)
  await committed
  reader.refresh()
  expect(Buffer.from((await reader.readContent(keys[7]!))!).toString()).toBe('again')
})
