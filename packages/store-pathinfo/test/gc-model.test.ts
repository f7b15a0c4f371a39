import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Directory } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { openLocalStore, verifyPaths } from '@neve/store-pathinfo'
import { collectGarbage, listRoots } from '@neve/store-pathinfo/gc'
import { expect, it } from 'vitest'
import { checkPackage, closureOf, PACKAGES, packageOf, pathOf, writeTree } from './gc-universe.mjs'
import { temporaryFolder } from './support.js'

/**
 * Random interleavings over one store: several processes put, copy, import, set and remove roots, read back, verify and
 * collect garbage at once; they are killed and stopped at any moment, and open the store anew all the time. The model says
 * which roots there must be, and that everything below a root can be read.
 *
 * NEVE_MODEL_STEPS says how long it is, NEVE_MODEL_SEED makes it run again as it was, as far as the machine lets it. With
 * NEVE_MODEL_HARD=1 every second session is killed, and the tables are rebuilt every 20 steps.
 */
const STEPS = Number(process.env['NEVE_MODEL_STEPS'] ?? 1000)
const SEED = Number(process.env['NEVE_MODEL_SEED'] ?? randomInt(2 ** 31))
const HARD = process.env['NEVE_MODEL_HARD'] === '1'
/** After so many of them everything is looked at. */
const ROUND = HARD ? 20 : 150
const CHILD = fileURLToPath(new URL('./gc-model-child.mjs', import.meta.url))
const WORKERS = 3

type Step = { readonly step: string; readonly [key: string]: unknown }
interface Said {
  readonly ready?: boolean
  readonly done?: number
  readonly failed?: string
  readonly message?: string
  readonly end?: boolean
  readonly crashed?: string
  readonly busy?: boolean
  readonly waited?: number
  readonly freedBytes?: number
  readonly removed?: number
}

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

class Worker {
  #child!: ChildProcessByStdio<Writable, Readable, null>
  #said: AsyncIterator<string> | undefined
  killed = false
  readonly #arguments: readonly string[]

  constructor(...args: readonly string[]) {
    this.#arguments = args
  }

  async start(): Promise<void> {
    this.killed = false
    this.#child = spawn(process.execPath, [CHILD, ...this.#arguments], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdin.on('error', () => undefined)
    this.#said = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    expect(await this.next()).toEqual({ ready: true })
  }

  tell(session: readonly Step[]): void {
    this.#child.stdin.write(`${JSON.stringify({ session })}\n`)
  }

  /** What it says next; undefined once it is dead. */
  async next(): Promise<Said | undefined> {
    const line = await this.#said!.next()
    return line.done === true ? undefined : (JSON.parse(line.value) as Said)
  }

  signal(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL') this.killed = true
    this.#child.kill(signal)
  }
}

/** What must be in the store. */
class Model {
  /** Roots that are surely there, and what they keep. */
  readonly roots = new Map<string, number>()
  /** Roots that may be there: whether they were set or removed is known after a rebuild. */
  readonly unsure = new Map<string, number>()
  readonly counts = {
    steps: 0,
    kills: 0,
    stops: 0,
    collections: 0,
    waits: 0,
    refused: 0,
    removed: 0,
    freed: 0,
  }
  /** Roots that somebody reads from, and that stay that long. */
  readonly pinned: string[] = []
  #names = 0

  name(): string {
    return `root-${this.#names++}`
  }
}

/** A session of one process; what it is to do with roots is done by nobody else. */
function plan(model: Model, next: (limit: number) => number): readonly Step[] {
  if (next(5) === 0) {
    const options = { patience: next(2) === 0 ? 0 : next(400), share: [0.5, 0.95][next(2)] }
    return [{ step: 'gc', options }]
  }
  const session: Step[] = []
  for (let i = next(4); i >= 0; i--) {
    const number = next(PACKAGES)
    const rooted = [...model.roots.keys()]
    // Few roots, so that there is much garbage.
    const kind = rooted.length > 5 && next(2) === 0 ? 9 : next(10)
    if (kind < 5) {
      const how = (['put', 'put', 'copy', 'copy', 'import'] as const)[kind]!
      session.push({ step: how, number, tree: next(PACKAGES), pause: next(4) === 0 ? next(150) : 0 })
      if (next(3) > 0) session.push({ step: 'root', name: model.name(), number, mine: true })
    } else if (kind === 5) session.push({ step: 'upload', number })
    // It may be gone: then it is refused.
    else if (kind === 6) session.push({ step: 'root', name: model.name(), number })
    else if (rooted.length > 0 && kind < 9) {
      const name = rooted[next(rooted.length)]!
      session.push({ step: next(2) === 0 ? 'check' : 'verify', reads: name, number: model.roots.get(name) })
      model.pinned.push(name)
    } else if (rooted.length > 2) {
      const name = rooted[next(rooted.length)]!
      if (model.pinned.includes(name) || session.some((one) => one['name'] === name)) continue
      session.push({ step: 'unroot', name, number: model.roots.get(name) })
    }
  }
  return session
}

async function runSession(
  worker: Worker,
  model: Model,
  session: readonly Step[],
  next: (limit: number) => number,
) {
  try {
    await follow(worker, model, session, next)
  } finally {
    for (const { reads } of session) {
      if (reads !== undefined) model.pinned.splice(model.pinned.indexOf(reads as string), 1)
    }
  }
}

/** Has a session done, and keeps the model up to date. */
async function follow(
  worker: Worker,
  model: Model,
  session: readonly Step[],
  next: (limit: number) => number,
) {
  const kept = new Map<string, number>()
  for (const { step, name, number } of session) {
    if (step === 'unroot') model.roots.delete(name as string)
    if (step === 'unroot' || step === 'root') model.unsure.set(name as string, number as number)
  }
  const kill = next(HARD ? 2 : 6) === 0
  const stop = !kill && next(12) === 0
  const at = next(1 + next(120))
  worker.tell(session)
  const timer = setTimeout(() => {
    if (kill) worker.signal('SIGKILL')
    if (!stop) return
    model.counts.stops++
    worker.signal('SIGSTOP')
    setTimeout(() => worker.signal('SIGCONT'), next(300))
  }, at)
  for (let said = await worker.next(); ; said = await worker.next()) {
    if (said === undefined) {
      clearTimeout(timer)
      if (!worker.killed) throw new Error('a process ended by itself')
      model.counts.kills++
      await worker.start()
      break
    }
    if (said.crashed !== undefined) throw new Error(said.crashed)
    if (said.end === true) break
    model.counts.steps++
    const { step, name, number, mine } = session[said.done!]!
    if (step === 'gc') {
      model.counts.collections++
      model.counts.waits += said.waited ?? 0
      model.counts.freed += said.freedBytes ?? 0
      model.counts.removed += said.removed ?? 0
    } else if (step === 'root') {
      if (said.failed === undefined) {
        model.unsure.delete(name as string)
        kept.set(name as string, number as number)
      } else if (said.failed === 'not-found' && mine !== true) {
        model.counts.refused++
        model.unsure.delete(name as string)
      } else throw new Error(said.message)
    } else if (said.failed !== undefined) {
      throw new Error(`${JSON.stringify(session)}: ${said.message}`)
    } else if (step === 'unroot') model.unsure.delete(name as string)
  }
  clearTimeout(timer)
  for (const [name, number] of kept) model.roots.set(name, number)
}

it(`loses nothing that a root keeps (seed ${SEED})`, async () => {
  const folder = join(temporaryFolder(), 'store')
  const trees = temporaryFolder()
  for (let number = 0; number < PACKAGES; number++) {
    writeTree(join(trees, String(number)), packageOf(number))
  }
  await (await EmbeddedStore.open(folder)).close()
  const next = randomOf(SEED)
  const model = new Model()
  const workers = Array.from({ length: WORKERS }, () => new Worker(folder, trees))
  await Promise.all(workers.map((worker) => worker.start()))
  const { counts } = model
  try {
    while (counts.steps < STEPS) {
      const round = counts.steps + ROUND
      await Promise.all(
        workers.map(async (worker) => {
          while (counts.steps < round) await runSession(worker, model, plan(model, next), next)
        }),
      )
      await checkAll(folder, model, HARD || next(3) === 0)
    }
  } finally {
    for (const worker of workers) worker.signal('SIGKILL')
  }
  console.log(`seed ${SEED}: ${JSON.stringify(counts)}`)
  expect(counts.kills).toBeGreaterThan(STEPS / 100)
  expect(counts.freed).toBeGreaterThan(0)
  expect(counts.removed).toBeGreaterThan(HARD ? 0 : STEPS / 10)
}, 0)

/** While nobody works: what must be there is there and sound, nothing that is there lacks anything, and garbage goes. */
async function checkAll(folder: string, model: Model, rebuild: boolean): Promise<void> {
  await expectWhole(folder, model)
  if (rebuild) {
    await EmbeddedStore.rebuild(folder)
    settle(model, await expectWhole(folder, model))
  }
  const { waitingFor } = await collectGarbage(folder, { all: true, olderThan: 0, share: 0.9 })
  expect(waitingFor).toEqual([])
  // What leaned on garbage that was condemned before goes one collection later.
  await collectGarbage(folder, { all: true, olderThan: 0 })
  const { live } = await expectWhole(folder, model)
  const store = await openLocalStore(folder, { readOnly: true })
  expect(store.engine.count('pathInfos')).toBe(live.size)
  await store.close()
}

/**
 * What was begun by a process that was killed is done or not from a rebuild on: before it, the record of a removal may lie
 * behind the committed end of a segment, where a rebuild takes it for written.
 */
function settle(model: Model, { names }: { readonly names: ReadonlySet<string> }): void {
  for (const [name, number] of model.unsure) if (names.has(name)) model.roots.set(name, number)
  model.unsure.clear()
}

/** @returns the packages that roots keep, and the names of these */
async function expectWhole(
  folder: string,
  model: Model,
): Promise<{ readonly live: Set<number>; readonly names: Set<string> }> {
  const store = await openLocalStore(folder, { readOnly: true })
  const live = new Set<number>()
  const names = new Set<string>()
  try {
    for (const { name } of listRoots(store.engine)) {
      names.add(name)
      const number = model.roots.get(name) ?? model.unsure.get(name)
      expect(number, `${name} was never set`).toBeDefined()
      for (const one of closureOf(number!)) live.add(one)
    }
    for (const name of model.roots.keys()) expect(names, `${name} is missing`).toContain(name)
    for (const number of live) await checkPackage(store, number)
    for await (const { damages } of verifyPaths(store, [...live].map(pathOf))) expect(damages).toEqual([])
    expectClosed(store.engine)
  } finally {
    await store.close()
  }
  return { live, names }
}

/** A directory that is not condemned stands for all below it, rooted or not: it is there, condemned or not. */
function expectClosed(engine: EmbeddedStore): void {
  const chunks = (digest: Uint8Array): Uint8Array[] => {
    const list = engine.get('blobs', digest) ?? new Uint8Array(0)
    return Array.from({ length: list.length / 36 }, (_, i) => list.subarray(36 * i, 36 * i + 32))
  }
  const hasBlob = (digest: Uint8Array): boolean => {
    if (engine.hasContent(digest)) return true
    const list = chunks(digest)
    return list.length > 0 && list.every((chunk) => engine.hasContent(chunk))
  }
  for (const [digest, encoded] of engine.entries('directories')) {
    if (engine.isCondemned('directories', digest)) continue
    for (const { name, node } of Directory.decode(encoded).entries) {
      const { kind } = node
      const there = kind === 'directory' ? engine.has('directories', node.digest.bytes) : kind === 'symlink'
      expect(there || (kind === 'file' && hasBlob(node.digest.bytes)), `${name} in a directory`).toBe(true)
    }
  }
}
