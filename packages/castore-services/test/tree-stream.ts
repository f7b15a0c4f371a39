import { B3Digest } from '@neve/castore-model'
import type { TreeSink, TreeTokens } from '@neve/castore-services/ingest/filesystem'

/** Tokens of 8 bytes, so that a stream of them can be read by eye. */
export const TOKENS: TreeTokens = Object.fromEntries(
  ['directory', 'entry', 'node', 'regular', 'executable', 'symlink', 'close'].map((name) => [
    name,
    Buffer.from(name.padEnd(8).slice(0, 8)),
  ]),
) as unknown as TreeTokens

/** A sink that does something with each piece of the stream. */
export function sinkOf(piece: (bytes: Uint8Array) => void): TreeSink {
  return { tokens: TOKENS, write: async (bytes) => piece(bytes) }
}

/** Keeps the stream, and takes it apart: every part must be in its place. */
export class Recorder implements TreeSink {
  readonly tokens = TOKENS
  readonly #pieces: Buffer[] = []
  #stream = Buffer.alloc(0)
  #at = 0
  #events: string[] = []

  async write(bytes: Uint8Array): Promise<void> {
    // Later: the bytes must still be there.
    await new Promise(setImmediate)
    this.#pieces.push(Buffer.from(bytes))
  }

  /** What was streamed, as a line for each step; contents by their digests. */
  get events(): readonly string[] {
    this.#stream = Buffer.concat(this.#pieces)
    this.#at = 0
    this.#events = []
    this.#node()
    if (this.#at !== this.#stream.length) throw new Error(`${this.#stream.length - this.#at} bytes too many`)
    return this.#events
  }

  #node(): void {
    const kind = this.#token()
    if (kind === 'directory') {
      this.#events.push('{')
      for (let token = this.#token(); token !== 'close'; token = this.#token()) {
        this.#expect(token, 'entry')
        this.#events.push(`entry ${this.#string().toString('latin1')}`)
        this.#expect(this.#token(), 'node')
        this.#node()
        this.#expect(this.#token(), 'close')
        this.#events.push('end')
      }
      this.#events.push('}')
      return
    }
    const content = this.#string()
    this.#expect(this.#token(), 'close')
    if (kind === 'symlink') {
      this.#events.push(`link ${content.toString('latin1')}`)
      return
    }
    this.#events.push(`file ${kind === 'executable'} ${content.length}`)
    this.#events.push(`content ${B3Digest.of(content).toHex()}`)
  }

  #token(): string {
    this.#at += 8
    const text = this.#stream.toString('latin1', this.#at - 8, this.#at).trim()
    const name = Object.keys(TOKENS).find((token) => token.slice(0, 8) === text)
    if (name === undefined) throw new Error(`no token at ${this.#at - 8}: ${JSON.stringify(text)}`)
    return name
  }

  #string(): Buffer {
    const length = Number(this.#stream.readBigUInt64LE(this.#at))
    const bytes = this.#stream.subarray(this.#at + 8, this.#at + 8 + length)
    const end = this.#at + 8 + Math.ceil(length / 8) * 8
    const filling = this.#stream.subarray(this.#at + 8 + length, end)
    if (filling.some((byte) => byte !== 0)) throw new Error(`bytes other than zero before ${end}`)
    this.#at = end
    return bytes
  }

  #expect(token: string, expected: string): void {
    if (token !== expected) throw new Error(`expected ${expected} before ${this.#at}, got ${token}`)
  }
}
