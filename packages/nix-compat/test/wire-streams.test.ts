import {
  ByteSource,
  bytesFrom,
  collectBytes,
  concatBytes,
  MemorySink,
  PacketWriter,
  pump,
  readU64,
  showBytes,
  sinkToWritable,
  WireError,
  writeAll,
} from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import { bytewise, code, collect, hex, toHex } from './wire-helpers.js'

const BYTES = hex('00010203040506070809')

describe('byte source', () => {
  test.each<[string, () => Parameters<typeof ByteSource.from>[0]]>([
    ['bytes', () => BYTES],
    ['an array of chunks', () => [BYTES.subarray(0, 3), new Uint8Array(0), BYTES.subarray(3)]],
    ['a web stream', () => new Blob([BYTES]).stream() as ReadableStream<Uint8Array>],
    ['a web stream without iteration', () => ({ getReader: () => webReader(bytewise(BYTES)).reader })],
    [
      'a generator that reuses its buffer',
      async function* () {
        const buffer = new Uint8Array(1)
        for (const byte of BYTES) {
          buffer[0] = byte
          yield buffer
        }
      },
    ],
  ])('reads %s, and leaves the rest', async (_name, input) => {
    const source = ByteSource.from(input())
    expect(await readU64(source)).toBe(0x0706050403020100n)
    expect(source.position).toBe(8n)
    expect(toHex(await collect(source.rest()))).toBe('0809')
    expect(source.position).toBe(10n)
    expect(await source.pull()).toBe(false)
  })

  test('a source is its own input', () => {
    const source = ByteSource.from(BYTES)
    expect(ByteSource.from(source)).toBe(source)
  })

  test('chunks are fetched only when wanted, and the end is asked for once', async () => {
    let pulled = 0
    const source = ByteSource.from({
      [Symbol.asyncIterator]: () => ({
        next: async () => (++pulled > 2 ? { done: true, value: undefined } : { done: false, value: BYTES }),
      }),
    })
    expect(pulled).toBe(0)
    await readU64(source)
    expect(pulled).toBe(1)
    expect(source.buffered).toBe(2)
    await readU64(source)
    expect(pulled).toBe(2)
    await collect(source.rest())
    await source.pull()
    expect(pulled).toBe(3)
  })

  test('stopping early releases the stream', async () => {
    let released = 0
    async function* endless() {
      try {
        for (;;) yield BYTES
      } finally {
        released++
      }
    }
    const source = ByteSource.from(endless())
    for await (const chunk of source) {
      expect(chunk).toEqual(BYTES)
      break
    }
    expect(released).toBe(1)
    expect(await source.pull()).toBe(false)
    const web = webReader([BYTES, BYTES])
    const second = ByteSource.from({ getReader: () => web.reader })
    await second.pull()
    await second.cancel()
    expect(web.cancelled()).toBe(1)
  })

  test('something else than bytes is refused', async () => {
    const source = ByteSource.from(['text'] as unknown as Iterable<Uint8Array>)
    expect(await code(source.pull())).toBe('invalid-input')
    expect(await code(source.pull())).toBe('invalid-input')
  })
})

describe('sinks', () => {
  test('pump copies and counts; partial writes are resumed', async () => {
    const taken: number[] = []
    const sink = {
      write: (bytes: Uint8Array) => {
        taken.push(...bytes.subarray(0, 3))
        return Math.min(3, bytes.length)
      },
    }
    expect(await pump([BYTES, BYTES.subarray(0, 1)], sink)).toBe(11n)
    expect(toHex(Uint8Array.from(taken))).toBe(`${toHex(BYTES)}00`)
  })

  test('a web stream as a sink holds the writer back', async () => {
    const chunks: Uint8Array[] = []
    let pending = 0
    const stream = new WritableStream<Uint8Array>({
      async write(chunk) {
        pending++
        await new Promise<void>((resolve) => setImmediate(resolve))
        expect(pending).toBe(1)
        chunks.push(chunk)
        pending--
      },
    })
    const writer = new PacketWriter(sinkToWritable(stream), 9n)
    await writer.write(BYTES.subarray(0, 9))
    await writer.close()
    expect(toHex(concatBytes(chunks))).toBe('090000000000000000010203040506070800000000000000')
    const broken = new WritableStream<Uint8Array>({
      write: () => Promise.reject(new Error('disk full')),
    })
    await expect(writeAll(sinkToWritable(broken), BYTES)).rejects.toThrow('disk full')
  })

  test('collectBytes is capped', async () => {
    expect(await collectBytes([BYTES, BYTES], 20)).toHaveLength(20)
    expect(await code(collectBytes([BYTES, BYTES], 19))).toBe('invalid-data')
  })

  test.each([hex('01'), Buffer.from([1])])('a memory sink copies what it is given: %o', (buffer) => {
    const sink = new MemorySink()
    sink.write(buffer)
    buffer[0] = 2
    sink.write(buffer)
    expect(toHex(sink.bytes())).toBe('0102')
  })
})

describe('bytesFrom', () => {
  test('the producer runs no further than it is pulled', async () => {
    const log: string[] = []
    const stream = bytesFrom(async (sink) => {
      for (let turn = 0; turn < 3; turn++) {
        log.push(`write ${turn}`)
        await sink.write(Uint8Array.of(turn))
      }
    })
    expect(log).toEqual([])
    expect((await stream.next()).value).toEqual(Uint8Array.of(0))
    expect(log).toEqual(['write 0'])
    expect(toHex(await collect(stream))).toBe('0102')
  })

  test('its error reaches the consumer behind what was written', async () => {
    const stream = bytesFrom(async (sink) => {
      await sink.write(BYTES)
      throw new Error('foo')
    })
    expect((await stream.next()).value).toEqual(BYTES)
    await expect(stream.next()).rejects.toThrow('foo')
  })

  test('a consumer that stops ends the producer', async () => {
    const codes: unknown[] = []
    const stream = bytesFrom(async (sink) => {
      for (let turn = 0; turn < 2; turn++) codes.push(await code(Promise.resolve(sink.write(BYTES))))
    })
    for await (const _chunk of stream) break
    expect(codes).toEqual(['unclean-shutdown', 'unclean-shutdown'])
  })

  test('writes that do not wait are misuse', async () => {
    const stream = bytesFrom(async (sink) => {
      const first = sink.write(BYTES)
      await expect(sink.write(BYTES)).rejects.toMatchObject({ code: 'misuse' })
      await first
    })
    expect(await collect(stream)).toEqual(BYTES)
  })
})

test('errors say what, expected, actual and where', () => {
  const error = new WireError('invalid-data', 'padding', {
    expected: 'zero',
    actual: 'one',
    offset: 9n,
    path: 'a',
  })
  expect(error.message).toBe('a: padding: expected zero, got one (at byte 9)')
  expect(error).toMatchObject({ name: 'WireError', code: 'invalid-data', offset: 9n, path: 'a' })
  expect(showBytes(hex('41ff'))).toBe('0x41ff')
  expect(showBytes(new Uint8Array(40).fill(0x41))).toBe(`"${'A'.repeat(32)}"… (40 bytes)`)
})

function webReader(chunks: Uint8Array[]) {
  let cancelled = 0
  const left = [...chunks]
  return {
    cancelled: () => cancelled,
    reader: {
      read: async () => ({ done: left.length === 0, value: left.shift() }),
      cancel: async () => {
        cancelled++
      },
    },
  }
}
