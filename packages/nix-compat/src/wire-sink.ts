import { WireError } from './wire-error.js'
import { type ByteInput, ByteSource } from './wire-source.js'

/**
 * Where bytes go. `write` takes all of them and returns nothing, or returns how many it took (the rest is offered
 * again); a promise holds the producer back until it settles. The bytes belong to the sink from then on unless the
 * producer says otherwise.
 */
export interface ByteSink {
  write(bytes: Uint8Array): void | number | Promise<void> | Promise<number>
  /** Called when a unit is complete; makes sure that nothing is kept back. */
  flush?(): void | Promise<void>
  /** Called once, at the end. */
  close?(): void | Promise<void>
}

/** The part of a web `WritableStream` that is used. */
export interface WritableStreamLike {
  getWriter(): {
    readonly ready: Promise<unknown>
    write(bytes: Uint8Array): Promise<unknown>
    close(): Promise<unknown>
    releaseLock(): void
  }
}

/**
 * Hands one piece to the sink and says how many bytes it took. `write-zero` if it took none of a non-empty piece;
 * errors of the sink pass through.
 */
export async function writeSome(sink: ByteSink, bytes: Uint8Array): Promise<number> {
  const result = sink.write(bytes)
  const taken = (result instanceof Promise ? await result : result) ?? bytes.length
  if (taken === 0 && bytes.length > 0) {
    throw new WireError('write-zero', 'sink accepted nothing', {
      expected: `1..${bytes.length} bytes`,
      actual: '0',
    })
  }
  return taken
}

/** Hands all of `bytes` to the sink, in as many writes as it needs. */
export async function writeAll(sink: ByteSink, bytes: Uint8Array): Promise<void> {
  let rest = bytes
  while (rest.length > 0) rest = rest.subarray(await writeSome(sink, rest))
}

/** Copies a whole stream into a sink, waiting for it, and returns the number of bytes. The sink is not closed. */
export async function pump(input: ByteInput, sink: ByteSink): Promise<bigint> {
  const source = ByteSource.from(input)
  const before = source.position
  for await (const chunk of source) await writeAll(sink, chunk)
  return source.position - before
}

/** A sink that writes to a web `WritableStream` and waits until each chunk is through. Takes the stream's lock. */
export function sinkToWritable(stream: WritableStreamLike): ByteSink {
  const writer = stream.getWriter()
  return {
    async write(bytes) {
      await writer.ready
      await writer.write(bytes)
    },
    async close() {
      await writer.close()
      writer.releaseLock()
    },
  }
}

/** A sink that keeps everything. `bytes` joins what came so far into a new buffer. */
export class MemorySink implements ByteSink {
  readonly #chunks: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  write(bytes: Uint8Array): void {
    // The slice of a Buffer would be a view.
    this.#chunks.push(new Uint8Array(bytes))
    this.#length += bytes.length
  }

  bytes(): Uint8Array {
    return concatBytes(this.#chunks)
  }
}

/** Joins chunks into one new buffer. */
export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    joined.set(chunk, offset)
    offset += chunk.length
  }
  return joined
}

/** Reads a whole stream into one buffer; `invalid-data` once it is longer than `max` bytes. */
export async function collectBytes(input: ByteInput, max: number): Promise<Uint8Array> {
  const sink = new MemorySink()
  for await (const chunk of ByteSource.from(input)) {
    if (sink.length + chunk.length > max) {
      throw new WireError('invalid-data', 'stream too long', {
        expected: `at most ${max} bytes`,
        actual: `${sink.length + chunk.length} or more`,
      })
    }
    sink.write(chunk)
  }
  return sink.bytes()
}

/**
 * Turns a producer that writes into a stream that is pulled: `produce` runs until its first write, and each write
 * waits until the consumer has asked for the next piece. Its error reaches the consumer. If the consumer stops
 * early, the write in hand fails with `unclean-shutdown`, and so does every later one.
 */
export async function* bytesFrom(
  produce: (sink: ByteSink) => Promise<void>,
): AsyncGenerator<Uint8Array, void, void> {
  let abandoned = false
  let offered: Uint8Array | undefined
  let taken: { resolve(): void; reject(error: unknown): void } | undefined
  let wake: () => void = () => {}
  let outcome: { error?: unknown; failed: boolean } | undefined
  const closed = () => new WireError('unclean-shutdown', 'the reader of this stream went away')
  const sink: ByteSink = {
    write(bytes): Promise<void> {
      if (abandoned) return Promise.reject(closed())
      if (bytes.length === 0) return Promise.resolve()
      if (taken !== undefined) {
        return Promise.reject(new WireError('misuse', 'write while another write is waiting'))
      }
      offered = bytes
      wake()
      return new Promise<void>((resolve, reject) => {
        taken = { resolve, reject }
      })
    },
  }
  const running = produce(sink).then(
    () => {
      outcome = { failed: false }
      wake()
    },
    (error: unknown) => {
      outcome = { failed: true, error }
      wake()
    },
  )
  try {
    for (;;) {
      while (offered === undefined && outcome === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (offered !== undefined) {
        const piece = offered
        offered = undefined
        yield piece
        taken?.resolve()
        taken = undefined
        continue
      }
      if (outcome?.failed === true) throw outcome.error
      return
    }
  } finally {
    abandoned = true
    taken?.reject(closed())
    await running
  }
}
