import type { CallOptions } from '@neve/castore-services'
import { CastoreFilesystem, type Content, MapRootNodes } from '@neve/fs-fuse'
import { describe, expect, it } from 'vitest'
import { connect } from '../connection.js'
import {
  BLOB_A,
  BLOB_A_NAME,
  DIRECTORY_COMPLICATED,
  DIRECTORY_COMPLICATED_NAME,
  fileNode,
} from '../fixtures.js'
import { errorOf, frame, named, u64 } from '../frames.js'

/** A backend that answers when it is told to. */
class SlowContent implements Content {
  readonly waiting: {
    readonly answer: () => void
    readonly fail: () => void
    readonly signal: AbortSignal
  }[] = []

  directory(_: unknown, options: CallOptions = {}) {
    return this.#wait(DIRECTORY_COMPLICATED, options)
  }

  open(_: unknown, __: unknown, options: CallOptions = {}) {
    const readAt = (offset: number, length: number, more: CallOptions = {}) =>
      this.#wait([BLOB_A.subarray(offset, offset + length)], more)
    return this.#wait({ readAt, close: () => {} }, options)
  }

  #wait<T>(value: T, { signal = new AbortController().signal }: CallOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      this.waiting.push({
        signal,
        answer: () => resolve(value),
        fail: () => reject(new Error('unreachable')),
      })
    })
  }
}

function open() {
  const content = new SlowContent()
  const filesystem = new CastoreFilesystem({
    content,
    roots: new MapRootNodes([
      [BLOB_A_NAME, fileNode(BLOB_A)],
      [DIRECTORY_COMPLICATED_NAME, DIRECTORY_COMPLICATED.toNode()],
    ]),
  })
  return { content, filesystem, ...connect(filesystem) }
}

describe('05: requests that wait', () => {
  it('answers what is in memory meanwhile, and each with its own answer, in whatever order they come', async () => {
    const { content, transport, walk, call } = open()
    const directory = await walk(DIRECTORY_COMPLICATED_NAME)
    const file = await walk(BLOB_A_NAME)
    for (let unique = 100; unique < 228; unique += 4) {
      expect(transport.request(frame(1, { unique, node: directory }, named('aa')))).toEqual([])
      expect(transport.request(frame(14, { unique: unique + 2, node: file }, 0, 0))).toEqual([])
    }
    expect(content.waiting).toHaveLength(64)
    expect(errorOf(await call(frame(3, { unique: 4, node: file }, 0, 0, u64(0))))).toBe(0)
    transport.replies.length = 0
    for (const { answer } of content.waiting.toReversed()) answer()
    await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(64)
    for (const reply of transport.replies) {
      expect(errorOf(reply)).toBe(0)
      expect(reply.length).toBe(Number(reply.readBigUInt64LE(8)) % 4 === 0 ? 144 : 32)
    }
  })

  it('answers an interrupted request with EINTR, lets go of what it waits for, and logs nothing', async () => {
    const { content, transport, faults, walk } = open()
    const node = await walk(BLOB_A_NAME)
    expect(transport.request(frame(14, { unique: 40, node }, 0, 0))).toEqual([])
    transport.request(frame(36, { unique: 43 }, u64(42)))
    expect(content.waiting[0]?.signal.aborted).toBe(false)
    transport.request(frame(36, { unique: 41 }, u64(40)))
    expect(content.waiting[0]?.signal.aborted).toBe(true)
    await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(1)
    expect(errorOf(transport.replies[0])).toBe(-4)
    expect(Number(transport.replies[0]?.readBigUInt64LE(8))).toBe(40)
    transport.request(frame(36, { unique: 41 }, u64(40)))
    expect(faults).toEqual([])
  })

  it('asks again after an error: the backend may be back', async () => {
    const { content, transport, walk } = open()
    const node = await walk(BLOB_A_NAME)
    const opening = () => transport.request(frame(14, { node }, 0, 0))
    opening()
    content.waiting[0]?.fail()
    await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(1)
    expect(errorOf(transport.replies[0])).toBe(-5)
    opening()
    content.waiting[1]?.answer()
    await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(1)
    expect(errorOf(transport.replies[0])).toBe(0)
  })

  it('lets go of everything when the connection ends', async () => {
    const { content, transport, filesystem, walk } = open()
    const node = await walk(BLOB_A_NAME)
    transport.request(frame(14, { unique: 40, node }, 0, 0))
    content.waiting[0]?.answer()
    await expect.poll(() => filesystem.openHandles, { interval: 1 }).toBe(1)
    transport.request(frame(14, { unique: 42, node }, 0, 0))
    transport.end()
    await expect.poll(() => content.waiting[1]?.signal.aborted, { interval: 1 }).toBe(true)
    expect(filesystem.openHandles).toBe(0)
  })
})
