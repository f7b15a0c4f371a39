/** What a client asks, without a body: of whatever server it came through. */
export interface RequestHead {
  /** `GET`, in capitals. */
  readonly method: string
  /** Path and query as the request line has them, nothing decoded: `/nar/snix-castore/Ei…?narsize=136`. */
  readonly target: string
  /** What stood before that: `/team` where several caches share an address. Default: nothing. */
  readonly prefix?: string
  /**
   * A header by its name in lower case; the values of one that came several times are joined by a comma. `host` is there
   * in whatever way the protocol says it.
   */
  header(name: string): string | undefined
  /** Whether it came encrypted, as far as the server can tell. */
  readonly isEncrypted?: boolean | undefined
}

/** What a client asks, of whatever server it came through. */
export interface BridgeRequest extends RequestHead {
  /** Good for one reading; empty where there is none. Fails when the client goes away before its end. */
  readonly body: AsyncIterable<Uint8Array>
  /** Aborted when nobody waits for the reply any more. */
  readonly signal: AbortSignal
}

/** A body that comes in pieces; each belongs to the reader until it asks for the next. */
export interface ReplyStream {
  readonly source: AsyncIterable<Uint8Array>
  /** Length in bytes, if it is known beforehand. */
  readonly length: bigint | undefined
}

/** What is answered. A reply to HEAD has the headers of the one to GET, and no body. */
export interface Reply {
  readonly status: number
  /** By names in lower case. The length of the body is among them, where it is known. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | ReplyStream | undefined
}

/** Options of {@link textReply}. */
export interface TextReplyOptions {
  readonly status?: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A reply of text. */
export function textReply(
  body: string,
  { status = 200, type = 'text/plain; charset=utf-8', headers }: TextReplyOptions = {},
): Reply {
  return {
    status,
    headers: { 'content-type': type, 'content-length': `${Buffer.byteLength(body)}`, ...headers },
    body,
  }
}

/**
 * Fetches the first piece of a stream, so that what fails at once still gets a status of its own. Whoever does not read
 * the rest has to return its iterator.
 */
export async function begun(source: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = source[Symbol.asyncIterator]()
  let first: IteratorResult<Uint8Array> | undefined = await iterator.next()
  // No generator: one that was not begun would not pass on that it is to end.
  const rest: AsyncIterator<Uint8Array> = {
    async next() {
      const result = first ?? (await iterator.next())
      first = undefined
      return result
    },
    async return() {
      await iterator.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => rest }
}

/** Lets go of a body that nobody is going to read. */
export async function discard(body: Reply['body']): Promise<void> {
  if (typeof body === 'object' && 'source' in body) await body.source[Symbol.asyncIterator]().return?.()
}
