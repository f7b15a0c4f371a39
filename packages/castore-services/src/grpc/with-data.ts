import { CastoreError } from '../errors.js'

/** How many messages in a row to bear with that bring the end no nearer: each is a sign of life, so no time runs out. */
const MAX_EMPTY_MESSAGES = 1000

/**
 * The pieces of a stream that have data in them.
 *
 * @param what is received, for the message
 * @throws CastoreError `storage` when there is no end of empty ones
 */
export async function* withData(
  pieces: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let empty = 0
  for await (const piece of pieces) {
    if (piece.length > 0) {
      empty = 0
      yield piece
    } else if (++empty > MAX_EMPTY_MESSAGES) {
      throw new CastoreError('storage', `${what}: more than ${MAX_EMPTY_MESSAGES} messages without data`)
    }
  }
}
