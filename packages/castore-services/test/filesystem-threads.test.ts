import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileWorkers } from '@neve/castore-services/ingest/filesystem'
import { describe, expect, it } from 'vitest'
import { StepWriter } from '../src/ingest/tree-steps.js'
import { embeddedServices } from './embedded-fixture.js'

describe('the threads', () => {
  it('can be ended at any moment', async () => {
    const { engine } = await embeddedServices()
    for (let step = 0; step < 40; step += 2) {
      const workers = new FileWorkers(engine, 2)
      const task = {
        type: 'read',
        steps: new Uint8Array(0),
        folder: Buffer.from('/'),
        skip: 0,
        tokens: undefined,
        useFileCache: false,
        lookUp: true,
      } as const
      const result = workers.run({ ...task, slot: workers.takeSlot() })
      const outcome = result.then(
        () => 'done',
        (error: Error) => error.message,
      )
      const until = performance.now() + step
      while (performance.now() < until) await new Promise(setImmediate)
      await workers.close()
      // What was asked for before is still answered.
      expect(await outcome).toBe('done')
      await expect(workers.run({ ...task, slot: workers.takeSlot() })).rejects.toThrow(
        'the threads were closed',
      )
    }
    await engine.close()
  })

  it('leave tasks that they have not begun to a caller who is in a hurry', async () => {
    const { engine } = await embeddedServices()
    const folder = mkdtempSync(join(tmpdir(), 'threads-'))
    const workers = new FileWorkers(engine, 1)
    const slots = Array.from({ length: 6 }, () => workers.takeSlot())
    const read = (slot: (typeof slots)[number], content: string) => {
      const name = join(folder, content)
      writeFileSync(name, content)
      const steps = new StepWriter()
      steps.step({ kind: 'file', name: content })
      const where = { steps: steps.take(), skip: 0, folder: Buffer.from(`${folder}/`) }
      const how = { tokens: undefined, useFileCache: false, lookUp: false } as const
      return workers.run({ type: 'read', ...where, slot, ...how })
    }
    const text = (slot: (typeof slots)[number], length: number) => slot.raw.toString('latin1', 0, length)
    // The thread has not even started.
    const first = slots.map((slot, index) => read(slot, `first ${index}`))
    for (const slot of slots) {
      workers.hurry(slot)
      workers.hurry(slot)
    }
    for (const [index, slot] of slots.entries()) expect(text(slot, 7)).toBe(`first ${index}`)
    // The same slots again: what the thread finds of the first tasks is none of its business.
    const second = slots.map((slot, index) => read(slot, `second ${index}`))
    workers.hurry(slots[3]!)
    await Promise.all([...first, ...second])
    for (const [index, slot] of slots.entries()) expect(text(slot, 8)).toBe(`second ${index}`)
    await workers.close()
    await engine.close()
    rmSync(folder, { recursive: true })
  })
})
