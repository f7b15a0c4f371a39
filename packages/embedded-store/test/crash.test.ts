import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { expect, it } from 'vitest'
import { contentOf, keyOfSeed } from './seeded-content.mjs'
import { temporaryFolder } from './support.js'

const CHILD = fileURLToPath(new URL('./crash-child.mjs', import.meta.url))
const KILLS = 110

/** A small generator of numbers in [0, 1), so that a run's delays can be had again from its seed. */
function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

class Acknowledged {
  readonly seeds = new Set<string>()
  /** The last acknowledged round of each writer. */
  readonly rounds = new Map<string, number>()

  add(line: string): void {
    const [word, name, round, ...seeds] = line.split(' ')
    if (word !== 'ack') return
    this.rounds.set(name!, Number(round))
    for (const seed of seeds) this.seeds.add(seed)
  }

  merge(other: Acknowledged): void {
    for (const seed of other.seeds) this.seeds.add(seed)
    for (const [name, round] of other.rounds) this.rounds.set(name, round)
  }
}

/** Runs a writer and kills it `delay` milliseconds after it is ready. */
async function runAndKill(folder: string, prefix: string, delay: number, into: Acknowledged): Promise<void> {
  const child = spawn(process.execPath, [CHILD, folder, prefix], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise<NodeJS.Signals | null>((resolve) =>
    child.on('exit', (_, signal) => resolve(signal)),
  )
  let text = ''
  child.stdout.setEncoding('latin1')
  const isReady = new Promise<void>((resolve) => {
    child.stdout.on('data', (piece: string) => {
      text += piece
      resolve()
    })
  })
  const ended = new Promise<void>((resolve) => child.stdout.on('end', resolve))
  await Promise.race([isReady, gone])
  await sleep(delay)
  child.kill('SIGKILL')
  expect(await gone).toBe('SIGKILL')
  await ended
  // A line that was cut off by the kill was not acknowledged.
  for (const line of text.slice(0, text.lastIndexOf('\n')).split('\n')) into.add(line)
}

async function check(store: EmbeddedStore, acknowledged: Acknowledged): Promise<void> {
  const reader = store.contentReader()
  for (const seed of acknowledged.seeds) {
    const key = keyOfSeed(seed)
    const stored = reader.readSync(key)
    expect(stored, `${seed} was acknowledged`).toBeDefined()
    const content = new Uint8Array(stored!.rawLength)
    expect(reader.expand(stored!, content)).toBe(true)
    expect(Buffer.compare(content, contentOf(seed)), `content of ${seed}`).toBe(0)
    const directory = store.get('directories', key)
    expect(directory !== undefined && Buffer.compare(directory, contentOf(`directory ${seed}`)) === 0).toBe(
      true,
    )
  }
  for (const [name, round] of acknowledged.rounds) {
    const value = store.get('pathInfos', keyOfSeed(name).subarray(0, 20))
    expect(Number(Buffer.from(value ?? [])), `last round of ${name}`).toBeGreaterThanOrEqual(round)
  }
}

/** Whatever can be seen, acknowledged or not, is whole. */
async function checkEverythingVisible(store: EmbeddedStore): Promise<void> {
  let count = 0
  for (const key of store.contentKeys()) {
    expect(await store.readContent(key)).toBeDefined()
    count++
  }
  expect(count).toBe(store.count('content'))
}

it(`loses nothing acknowledged and shows nothing half-written over ${KILLS} kills`, async () => {
  const seed = Number(process.env['NEVE_TEST_SEED'] ?? randomInt(2 ** 31))
  console.log(`seed of the delays: ${seed} (NEVE_TEST_SEED sets it)`)
  const next = random(seed)
  const folder = join(temporaryFolder(), 'store')
  const acknowledged = new Acknowledged()
  // Two processes are there at any time, so that one often dies while the other commits.
  let kills = 0
  const loop = async (): Promise<void> => {
    while (kills < KILLS) {
      const own = new Acknowledged()
      await runAndKill(folder, `p${kills++}`, next() ** 2 * 150, own)
      await using store = await EmbeddedStore.open(folder, { readOnly: true })
      await check(store, own)
      acknowledged.merge(own)
    }
  }
  await Promise.all([loop(), loop()])
  expect(acknowledged.seeds.size).toBeGreaterThan(KILLS)

  {
    await using store = await EmbeddedStore.open(folder)
    await check(store, acknowledged)
    await checkEverythingVisible(store)
    const session = store.write()
    session.appendContent(keyOfSeed('after'), contentOf('after'))
    await session.commit()
  }

  const copy = join(temporaryFolder(), 'copy')
  cpSync(folder, copy, { recursive: true })
  const report = await EmbeddedStore.rebuild(copy)
  expect(report.records).toBeGreaterThan(acknowledged.seeds.size)
  await using rebuilt = await EmbeddedStore.open(copy)
  await check(rebuilt, acknowledged)
  await checkEverythingVisible(rebuilt)
}, 300_000)
