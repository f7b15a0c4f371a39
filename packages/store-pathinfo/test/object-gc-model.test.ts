import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomInt, randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { listObjectRoots } from '@neve/store-pathinfo/object-gc'
import { ObjectStorePathInfoService } from '@neve/store-pathinfo/object-store'
import { expect, it } from 'vitest'
import { describeWithServer, newPrefix } from '../../castore-services/test/servers/object-server.js'
import { VERSITYGW } from '../../castore-services/test/servers/versitygw.js'
import { checkPackage, closureOf, PACKAGES } from './gc-universe.mjs'
import { temporaryFolder } from './support.js'

/**
 * Random interleavings over one object store: processes put, copy, set and remove roots, read back and collect garbage at
 * once, with a grace age of seconds, and are killed at any moment. The model says which roots there must be, and that
 * everything below a root can be read.
 *
 * NEVE_MODEL_STEPS says how long it is, NEVE_MODEL_SEED makes it run again as it was, as far as the machine lets it.
 */
const STEPS = Number(process.env['NEVE_MODEL_STEPS'] ?? 1000) / 10
const SEED = Number(process.env['NEVE_MODEL_SEED'] ?? randomInt(2 ** 31))
const GRACE = 4000
const LEAST_REMOVED = 20
const CHILD = fileURLToPath(new URL('./object-gc-child.mjs', import.meta.url))
const WORKERS = 3

interface Step {
  readonly step: 'put' | 'copy' | 'upload' | 'unroot' | 'check' | 'reopen' | 'gc'
  readonly number?: number | undefined
  readonly maxSize?: number | undefined
  readonly name?: string | undefined
  readonly root?: string | undefined
}
interface Said {
  readonly ready?: boolean
  readonly done?: boolean
  readonly failed?: string
  readonly removed?: number
  readonly busy?: boolean
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

  constructor(readonly args: readonly string[]) {}

  async start(): Promise<void> {
    this.#child = spawn(process.execPath, [CHILD, ...this.args], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdin.on('error', () => undefined)
    this.#said = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    expect(await this.#next()).toEqual({ ready: true })
  }

  /** @returns what it says; undefined when it was killed before it had done it */
  async run(step: Step, killAfter: number | undefined): Promise<Said | undefined> {
    this.#child.stdin.write(`${JSON.stringify(step)}\n`)
    const timer = killAfter === undefined ? undefined : setTimeout(() => this.kill(), killAfter)
    const said = await this.#next()
    clearTimeout(timer)
    return said
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #next(): Promise<Said | undefined> {
    const line = await this.#said!.next()
    return line.done === true ? undefined : (JSON.parse(line.value) as Said)
  }
}

class Model {
  /** Roots that are surely there, and what they keep. */
  readonly roots = new Map<string, number>()
  /** Roots of which nobody knows whether they were set, or removed. */
  readonly unsure = new Map<string, number>()
  /** Roots that somebody reads from: they stay that long. */
  readonly pinned = new Set<string>()
  readonly counts = { steps: 0, kills: 0, killedCollections: 0, collections: 0, removed: 0 }
  #names = 0

  name(): string {
    return `root-${this.#names++}`
  }
}

function plan(model: Model, next: (limit: number) => number): Step {
  const number = next(PACKAGES)
  const free = [...model.roots.keys()].filter((name) => !model.pinned.has(name))
  const kind = next(12)
  // Of what is not kept, some stays by its size, now and then.
  if (kind < 3) return { step: 'gc', maxSize: next(3) === 0 ? next(2_000_000) : undefined }
  if (kind === 3) return { step: 'reopen' }
  if (kind === 4) return { step: 'upload', number }
  if (free.length > 0 && (kind === 5 || kind === 6)) {
    const name = free[next(free.length)]!
    return { step: 'check', name, number: model.roots.get(name) }
  }
  // Few roots, so that there is much garbage.
  if (free.length > 3 || (free.length > 1 && kind === 7))
    return { step: 'unroot', name: free[next(free.length)]! }
  const root = next(4) > 0 ? model.name() : undefined
  return { step: next(2) === 0 ? 'put' : 'copy', number, root }
}

async function oneStep(worker: Worker, model: Model, next: (limit: number) => number, objects: ObjectStore) {
  const planned = plan(model, next)
  const { step, name, root, number } = planned
  if (step === 'check') model.pinned.add(name!)
  if (step === 'unroot') {
    model.unsure.set(name!, model.roots.get(name!)!)
    model.roots.delete(name!)
  }
  if (root !== undefined) model.unsure.set(root, number!)
  const said = await worker.run(planned, next(8) === 0 ? next(400) : undefined)
  if (step === 'check') model.pinned.delete(name!)
  if (said === undefined) {
    model.counts.kills++
    if (step === 'gc') {
      model.counts.killedCollections++
      // Two minutes later everybody would take it for dead. It is.
      await objects.put('neve/gc/sweep', Buffer.from(`done ${randomUUID()}`))
    }
    await worker.start()
    return
  }
  if (said.failed !== undefined) throw new Error(`${JSON.stringify(planned)}: ${said.failed}`)
  model.counts.steps++
  if (step === 'gc' && said.busy !== true) model.counts.collections++
  model.counts.removed += said.removed ?? 0
  if (step === 'unroot') model.unsure.delete(name!)
  if (root === undefined) return
  model.unsure.delete(root)
  model.roots.set(root, number!)
}

async function runModel(
  url: string,
  options: Readonly<Record<string, string>>,
  steps: number,
): Promise<void> {
  const objects = await openObjectStore(url, options)
  const next = randomOf(SEED)
  const model = new Model()
  const args = [url, JSON.stringify(options), String(GRACE)]
  const workers = Array.from({ length: WORKERS }, () => new Worker(args))
  await Promise.all(workers.map((worker) => worker.start()))
  // From now on everybody knows that garbage is collected.
  await workers[0]!.run({ step: 'gc' }, undefined)
  await Promise.all(workers.map((worker) => worker.run({ step: 'reopen' }, undefined)))
  const { counts } = model
  try {
    // Nothing is old enough to be removed before the grace age has gone by, however quick the machine is.
    while (counts.steps < steps || (counts.removed < LEAST_REMOVED && counts.steps < 50 * steps)) {
      const round = counts.steps + 50
      await Promise.all(
        workers.map(async (worker) => {
          while (counts.steps < round) await oneStep(worker, model, next, objects)
        }),
      )
      await expectWhole(objects, model)
    }
  } finally {
    for (const worker of workers) worker.kill()
    await objects.close?.()
  }
  console.log(`seed ${SEED}: ${JSON.stringify(counts)}`)
  expect(counts.collections).toBeGreaterThan(0)
  expect(counts.removed).toBeGreaterThanOrEqual(LEAST_REMOVED)
}

async function expectWhole(objects: ObjectStore, model: Model): Promise<void> {
  const blobs = new ObjectStoreBlobService({ store: objects })
  const directories = new ObjectStoreDirectoryService({ store: objects })
  const store = { blobs, directories, pathInfos: new ObjectStorePathInfoService(objects) }
  const names = new Set<string>()
  for (const { name } of await listObjectRoots(objects)) {
    names.add(name)
    const number = model.roots.get(name) ?? model.unsure.get(name)
    expect(number, `${name} was never set`).toBeDefined()
    expect(closureOf(number!).length).toBeGreaterThan(0)
    await checkPackage(store, number!)
    model.unsure.delete(name)
    model.roots.set(name, number!)
  }
  for (const name of model.roots.keys()) expect(names, `${name} is missing`).toContain(name)
  await blobs.close()
}

it(`files: loses nothing that a root keeps (seed ${SEED})`, async () => {
  await runModel(`file://${temporaryFolder()}`, {}, STEPS)
}, 0)

describeWithServer(VERSITYGW, (server) => {
  it(`S3: loses nothing that a root keeps (seed ${SEED})`, async () => {
    await runModel(server().url(newPrefix()), server().options, STEPS / 2)
  }, 0)
})
