import { B3Digest } from '@neve/castore-model'
import { BlobWriterBase, type CallOptions } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'
import { type Deferred, deferred, settled } from './deferred.js'

/** A writer whose backend does what the test says, and tells what it was asked. */
class ScriptedWriter extends BlobWriterBase {
  readonly calls: string[] = []
  readonly gates: Deferred<void>[] = []
  failAt: string | undefined
  slow = false

  constructor(options?: CallOptions) {
    super(options)
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#step(`accept ${bytes.length}`, signal)
  }

  protected async drain(signal: AbortSignal): Promise<void> {
    await this.#step('drain', signal)
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    await this.#step('commit', signal)
    return B3Digest.EMPTY
  }

  protected async discard(reason: unknown): Promise<void> {
    this.calls.push(`discard ${reason instanceof Error ? reason.message : reason}`)
    throw new Error('clearing up fails as well')
  }

  async #step(name: string, signal: AbortSignal): Promise<void> {
    this.calls.push(name)
    if (this.slow) {
      const gate = deferred<void>()
      this.gates.push(gate)
      signal.addEventListener('abort', () => gate.reject(signal.reason))
      await gate.promise
    }
    if (this.failAt === name) throw new Error(`${name} failed`)
  }
}

describe('BlobWriterBase', () => {
  it('runs one call at a time, in order', async () => {
    const writer = new ScriptedWriter()
    writer.slow = true
    const all = Promise.all([
      writer.write(new Uint8Array(1)),
      writer.write(new Uint8Array(2)),
      writer.close(),
    ])
    for (const expected of [['accept 1'], ['accept 1', 'accept 2'], ['accept 1', 'accept 2', 'commit']]) {
      await settled()
      expect(writer.calls).toEqual(expected)
      writer.gates.at(-1)?.resolve()
    }
    await all
  })

  it('does not bother the backend with nothing', async () => {
    const writer = new ScriptedWriter()
    await writer.write(new Uint8Array(0))
    expect(writer.calls).toEqual([])
  })

  it.each(['accept 1', 'drain', 'commit'])(
    'keeps the error of a failed %s for close, and throws away once',
    async (step) => {
      const writer = new ScriptedWriter()
      writer.failAt = step
      const outcomes = await Promise.allSettled([
        writer.write(new Uint8Array(1)),
        writer.flush(),
        writer.close(),
      ])
      const failure = new Error(`${step} failed`)
      const first = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      expect(first.reason).toEqual(failure)
      await expect(writer.close()).rejects.toBe(first.reason)
      await expect(writer.close()).rejects.toBe(first.reason)
      await expect(writer.write(new Uint8Array(1))).rejects.toMatchObject({
        code: 'closed',
        cause: first.reason,
      })
      await expect(writer.flush()).rejects.toMatchObject({ code: 'closed', cause: first.reason })
      await writer.abort()
      expect(writer.calls.filter((call) => call.startsWith('discard'))).toEqual([`discard ${step} failed`])
    },
  )

  it('interrupts the call that runs when it is aborted, and drops those behind it', async () => {
    const writer = new ScriptedWriter()
    writer.slow = true
    const reason = new Error('enough')
    const outcomes = Promise.allSettled([writer.write(new Uint8Array(1)), writer.write(new Uint8Array(2))])
    await settled()
    await writer.abort(reason)
    const [running, waiting] = (await outcomes) as PromiseRejectedResult[]
    expect(running?.reason).toBe(reason)
    expect(waiting?.reason).toMatchObject({ code: 'aborted', cause: reason })
    expect(writer.calls).toEqual(['accept 1', 'discard enough'])
  })

  it('interrupts the call that runs when the signal of openWrite fires', async () => {
    const controller = new AbortController()
    const writer = new ScriptedWriter({ signal: controller.signal })
    writer.slow = true
    const writing = writer.write(new Uint8Array(1))
    await settled()
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(writing).rejects.toBe(reason)
    await expect(writer.close()).rejects.toBe(reason)
    await settled()
    expect(writer.calls).toEqual(['accept 1', 'discard enough'])
  })

  it('keeps a commit that an abort came too late for', async () => {
    const writer = new ScriptedWriter()
    const closing = writer.close()
    await writer.abort()
    expect(await closing).toBe(B3Digest.EMPTY)
    expect(await writer.close()).toBe(B3Digest.EMPTY)
    expect(writer.calls).toEqual(['commit'])
  })

  it('stops listening to a signal that outlives it', async () => {
    const controller = new AbortController()
    const writer = new ScriptedWriter({ signal: controller.signal })
    await writer.write(new Uint8Array(1), { signal: controller.signal })
    await writer.close()
    controller.abort()
    await settled()
    expect(writer.calls).toEqual(['accept 1', 'commit'])
  })
})
