import { FileWorkers } from '@neve/castore-services/ingest/filesystem'
import { describe, expect, it } from 'vitest'
import { embeddedServices } from './embedded-fixture.js'

describe('the threads', () => {
  it('can be ended at any moment', async () => {
    const { engine } = await embeddedServices()
    for (let step = 0; step < 40; step += 2) {
      const workers = new FileWorkers(engine, 2)
      const task = {
        type: 'read',
        paths: new Uint8Array(0),
        skip: 0,
        useFileCache: false,
        lookUp: true,
        framing: 'records',
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
})
