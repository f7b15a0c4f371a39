import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { diskShim, memoryFolder } from './disk/disk-shim.js'
import { expectPromises } from './disk/promises.js'
import { live, writeTrees } from './disk/scenario.mjs'

/**
 * A store is made, imported into, signed, collected, compacted, copied and rebuilt, and at each call that changes a file,
 * Node's or LMDB's, the disk fails. NEVE_DISK_FAULTS=all tries more kinds of failure.
 */
const CHILD = fileURLToPath(new URL('./disk/faults-child.mjs', import.meta.url))
const ALL = process.env['NEVE_DISK_FAULTS'] === 'all'
const CHILDREN = 2
const [EIO, ENOSPC] = [5, 28]

interface Run {
  readonly at: number
  readonly place: string
  readonly promises: readonly string[]
}

interface Done extends Run {
  readonly failure?: { readonly name: string; readonly code: string; readonly message: string }
  readonly hangs?: boolean
  readonly fired: number
  readonly call: string
}

interface Fault {
  readonly error: number
  readonly how: 'once' | 'fromThenOn' | 'short'
}

const faults: (Fault & { readonly title: string; readonly always: boolean })[] = [
  { title: 'the disk is full', error: ENOSPC, how: 'fromThenOn', always: true },
  { title: 'a call fails', error: EIO, how: 'once', always: true },
  { title: 'half of it is written', error: 0, how: 'short', always: true },
  { title: 'there is no space for one call', error: ENOSPC, how: 'once', always: false },
  { title: 'the disk fails for good', error: EIO, how: 'fromThenOn', always: false },
]

/** Says what became of one run. */
type Look = (done: Done) => Promise<void>

interface Folders {
  readonly places: string
  readonly trees: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * Has every `CHILDREN`th call fail, from the `first` on.
 *
 * @returns how many did
 */
async function failEach(first: number, fault: Fault, folders: Folders, look: Look): Promise<number> {
  let fired = 0
  let next = first
  for (let fires = true; fires; ) {
    const child = start(
      [folders.places, folders.trees, JSON.stringify(fault), String(next), String(CHILDREN)],
      folders.env,
    )
    let begun: Run | undefined
    let tainted = false
    try {
      for await (const said of child.said) {
        if (said.begun !== undefined) begun = said.begun
        if (said.done === undefined) continue
        begun = undefined
        await look(said.done)
        next = said.done.at + CHILDREN
        fires = said.done.fired > 0
        if (fires) fired++
        tainted ||= LMDB_WRITES.test(said.done.call)
        child.goOn()
      }
    } finally {
      child.kill()
    }
    if (begun === undefined) continue
    expect(tainted, `the process died: ${child.stderr()}`).toBe(true)
    rmSync(begun.place, { recursive: true, force: true })
  }
  return fired
}

/**
 * The text that lmdb 3.5.6 makes of a page that cannot be written may be longer than what it has set aside for it: a
 * process that has met that may die later.
 */
const LMDB_WRITES = /^(pwrite|writev) .*data\.mdb$/

function start(args: readonly string[], env: NodeJS.ProcessEnv) {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(process.execPath, [CHILD, ...args], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (piece: Buffer) => {
    stderr = (stderr + piece.toString()).slice(-2000)
  })
  child.stdin.on('error', () => undefined)
  return {
    said: said(createInterface({ input: child.stdout })),
    goOn: () => child.stdin.write('\n'),
    kill: () => child.kill('SIGKILL'),
    stderr: () => stderr,
  }
}

async function* said(lines: AsyncIterable<string>) {
  for await (const line of lines) yield JSON.parse(line) as { readonly begun?: Run; readonly done?: Done }
}

for (const { title, always, ...fault } of faults.filter((one) => one.always || ALL)) {
  it(`keeps what it acknowledged, and says what is wrong, when ${title}`, async (context) => {
    const folder = memoryFolder()
    const env = diskShim(context, folder)
    const trees = join(folder, 'trees')
    writeTrees(trees)
    const look: Look = async (done) => {
      const where = `${done.at}: ${done.call}`
      expect(done.hangs, `hangs at ${where}`).toBeUndefined()
      if (done.failure !== undefined) {
        expect(done.failure.name, `${where}: ${done.failure.message}`).toBe('EmbeddedStoreError')
        expect(done.failure.code, where).toBe(fault.error === ENOSPC ? 'no-space' : 'io')
      }
      await expectPromises(done.place, done.promises)
      const promises: string[] = []
      rmSync(join(done.place, 'snapshot'), { recursive: true, force: true })
      await live(done.place, trees, (text) => promises.push(text))
      rmSync(done.place, { recursive: true })
    }
    const fired = await Promise.all(
      Array.from({ length: CHILDREN }, (_, i) =>
        failEach(i + 1, fault, { places: folder, trees, env }, look),
      ),
    )
    expect(fired[0]! + fired[1]!).toBeGreaterThan(fault.how === 'short' ? 40 : 150)
  }, 0)
}
