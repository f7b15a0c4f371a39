import { createHash } from 'node:crypto'
import { type ByteSink, encodeBytes, MemorySink, PacketWriter } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import { code, hex, LimitedSink, toHex } from './wire-helpers.js'

const LARGE = new Uint8Array(255 * 4096).map((_, index) => index % 255)
const EMPTY = new Uint8Array(0)

const unlimited = () => new LimitedSink(() => Number.MAX_SAFE_INTEGER)

/** A sink that takes `total` bytes, then fails. */
function failsAfter(total: number): { sink: LimitedSink; error: Error } {
  const error = new Error('foo')
  return { sink: new LimitedSink((written) => total - written, error), error }
}

describe('packet writer', () => {
  test('09#33 09#34 09#35 announced 0: empty write and flush, flush, close', async () => {
    const steps: ((writer: PacketWriter) => Promise<void>)[] = [
      async (writer) => {
        await writer.write(EMPTY)
        await writer.flush()
      },
      (writer) => writer.flush(),
      (writer) => writer.close(),
    ]
    for (const step of steps) {
      const sink = unlimited()
      await step(new PacketWriter(sink, 0n))
      expect(sink.hex).toBe('0000000000000000')
    }
  })

  test.each([
    ['09#36', 'ff', '0100000000000000ff00000000000000'],
    ['09#37', '0001020304050607', '08000000000000000001020304050607'],
    ['09#38', '000102030405060708', '090000000000000000010203040506070800000000000000'],
  ])('%s payload %s', async (_item, payload, expected) => {
    const sink = unlimited()
    const writer = new PacketWriter(sink, BigInt(payload.length / 2))
    await writer.write(hex(payload))
    await writer.flush()
    expect(sink.hex).toBe(expected)
    expect(sink.flushed).toBe(1)
  })

  test('09#39 flushes and empty writes anywhere', async () => {
    const sink = unlimited()
    const writer = new PacketWriter(sink, 9n)
    await writer.flush()
    await writer.write(hex('00010203'))
    await writer.flush()
    await writer.write(EMPTY)
    await writer.flush()
    await writer.write(hex('0405060708'))
    await writer.flush()
    await writer.close()
    expect(sink.hex).toBe('090000000000000000010203040506070800000000000000')
    expect(sink.closed).toBe(1)
  })

  test('09#40 a sink that takes 2 of 7 padding bytes gets exactly 5 more', async () => {
    const sink = new LimitedSink((written) => (written < 11 ? 11 - written : Number.MAX_SAFE_INTEGER))
    const writer = new PacketWriter(sink, 1n)
    await writer.write(hex('01'))
    await writer.flush()
    expect(sink.write(hex('ffff'))).toBe(2)
    expect(sink.hex).toBe('01000000000000000100000000000000ffff')
  })

  test('a sink that takes one byte at a time, in size, payload and padding', async () => {
    const sink = new LimitedSink(() => 1)
    const writer = new PacketWriter(sink, 3n)
    await writer.write(hex('010203'))
    await writer.close()
    expect(sink.hex).toBe(toHex(encodeBytes(hex('010203'))))
  })

  test('09#41 LARGE equals the buffered form', async () => {
    const sink = new MemorySink()
    const writer = new PacketWriter(sink, BigInt(LARGE.length))
    for (let at = 0; at < LARGE.length; at += 70_001) await writer.write(LARGE.subarray(at, at + 70_001))
    await writer.close()
    expect(createHash('sha256').update(sink.bytes()).digest('hex')).toBe(
      '6489d92e26ae42902e8383360c092bdf77f7b777538774bdd25c4da11d16abbb',
    )
  })

  test('09#42 flush, write, close without another flush', async () => {
    const sink = unlimited()
    const writer = new PacketWriter(sink, 2n)
    await writer.flush()
    await writer.write(hex('f0ff'))
    await writer.close()
    expect(sink.hex).toBe('0200000000000000f0ff000000000000')
  })

  test('09#43 09#44 09#45 excess bytes are refused, and nothing of them is written', async () => {
    const first = unlimited()
    expect(await code(new PacketWriter(first, 2n).write(hex('010203')))).toBe('invalid-data')
    expect(first.hex).toBe('')

    const second = unlimited()
    const full = new PacketWriter(second, 2n)
    await full.write(hex('0102'))
    expect(await code(full.write(hex('03')))).toBe('invalid-data')
    expect(second.hex).toBe('02000000000000000102')

    const third = unlimited()
    const flushed = new PacketWriter(third, 2n)
    await flushed.write(hex('0102'))
    await flushed.flush()
    expect(await code(flushed.write(hex('03')))).toBe('invalid-data')
    expect(third.hex).toBe('02000000000000000102000000000000')
  })

  test('09#46 closed before its end: the sink is closed, then unclean-shutdown', async () => {
    const sink = unlimited()
    const writer = new PacketWriter(sink, 2n)
    await writer.flush()
    await writer.write(hex('01'))
    expect(await code(writer.close())).toBe('unclean-shutdown')
    expect(sink.closed).toBe(1)
    expect(await code(writer.write(hex('02')))).toBe('misuse')
  })

  test('09#47 the sink fails inside the size', async () => {
    const writing = failsAfter(4)
    await expect(new PacketWriter(writing.sink, 2n).write(hex('01'))).rejects.toBe(writing.error)
    const flushing = failsAfter(4)
    await expect(new PacketWriter(flushing.sink, 2n).flush()).rejects.toBe(flushing.error)
  })

  test('09#48 the sink fails inside the payload', async () => {
    const { sink, error } = failsAfter(9)
    const writer = new PacketWriter(sink, 2n)
    await writer.write(hex('f0'))
    await expect(writer.write(hex('ff'))).rejects.toBe(error)
  })

  test('09#49 the sink fails inside the padding', async () => {
    const { sink, error } = failsAfter(10)
    const writer = new PacketWriter(sink, 1n)
    await writer.write(hex('f0'))
    await expect(writer.flush()).rejects.toBe(error)
  })

  test('a sink that takes nothing is write-zero', async () => {
    const sink = new LimitedSink(() => 0)
    expect(await code(new PacketWriter(sink, 1n).write(hex('01')))).toBe('write-zero')
  })

  test('await using closes, and tells of a truncated packet', async () => {
    const sink = unlimited()
    const use = async (payload: string) => {
      await using writer = new PacketWriter(sink, 1n)
      await writer.write(hex(payload))
    }
    await use('01')
    expect(sink.closed).toBe(1)
    expect(await code(use(''))).toBe('unclean-shutdown')
  })

  test('writing waits for the sink', async () => {
    let open: () => void = () => {}
    const order: string[] = []
    const sink: ByteSink = {
      async write(bytes) {
        await new Promise<void>((resolve) => {
          open = resolve
        })
        order.push(toHex(bytes))
      },
    }
    const writer = new PacketWriter(sink, 8n)
    const done = writer.write(hex('0001020304050607')).then(() => order.push('done'))
    for (let turn = 0; turn < 4; turn++) {
      open()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await done
    expect(order).toEqual(['0800000000000000', '0001020304050607', 'done'])
  })
})
