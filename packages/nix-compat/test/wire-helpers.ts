import { type ByteInput, type ByteSink, ByteSource, collectBytes } from '@neve/nix-compat/wire'

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const collect = (input: ByteInput): Promise<Uint8Array> => collectBytes(input, 2 ** 30)

/** The `code` of the error that a promise fails with. */
export async function code(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: { code?: unknown }) => error.code ?? error,
  )
}

/** A source of these chunks that complains when it is asked for more. */
export function strict(...chunks: (string | Uint8Array)[]): ByteSource {
  return failing(new Error('asked for more than the format needs'), ...chunks)
}

/** A source of these chunks that then raises `error`. */
export function failing(error: unknown, ...chunks: (string | Uint8Array)[]): ByteSource {
  return ByteSource.from(
    (async function* () {
      for (const chunk of chunks) yield typeof chunk === 'string' ? hex(chunk) : chunk
      throw error
    })(),
  )
}

/** A source of these chunks that stalls once before each. */
export function stalling(...chunks: (string | Uint8Array)[]): ByteSource {
  return ByteSource.from(
    (async function* () {
      for (const chunk of chunks) {
        await new Promise<void>((resolve) => setImmediate(resolve))
        yield typeof chunk === 'string' ? hex(chunk) : chunk
      }
    })(),
  )
}

/** A source of these chunks that then never answers again. */
export function hanging(...chunks: (string | Uint8Array)[]): ByteSource {
  return ByteSource.from(
    (async function* () {
      for (const chunk of chunks) yield typeof chunk === 'string' ? hex(chunk) : chunk
      await new Promise(() => {})
    })(),
  )
}

/** Single bytes. */
export function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte))
}

/** A sink that takes at most `limit(total)` bytes of a write; when that is 0 it raises `error`. */
export class LimitedSink implements ByteSink {
  written: number[] = []
  closed = 0
  flushed = 0
  constructor(
    readonly limit: (written: number) => number,
    readonly error?: unknown,
  ) {}

  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.limit(this.written.length))
    if (taken === 0 && this.error !== undefined) throw this.error
    this.written.push(...bytes.subarray(0, taken))
    return taken
  }

  flush(): void {
    this.flushed++
  }

  close(): void {
    this.closed++
  }

  get hex(): string {
    return toHex(Uint8Array.from(this.written))
  }
}
