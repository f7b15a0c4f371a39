import { concatenated } from '../spooled-blob.js'

/** No message has more data in it, and all but the last one of a blob have at least the first. */
const MIN_MESSAGE = 64 * 1024
const MAX_MESSAGE = 256 * 1024

/** Cuts and joins pieces to what is sent as one message each; empty ones are left out. */
export async function* messagesOf(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = []
  let length = 0
  for await (const piece of pieces) {
    if (length > 0 || piece.length < MIN_MESSAGE) {
      waiting.push(piece)
      length += piece.length
      if (length < MIN_MESSAGE) continue
      yield* cut(concatenated(waiting, length))
      waiting = []
      length = 0
    } else {
      yield* cut(piece)
    }
  }
  if (length > 0) yield concatenated(waiting, length)
}

function* cut(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
  // Equal parts: a small rest would cost a message of its own.
  const parts = Math.ceil(piece.length / MAX_MESSAGE)
  for (let part = 0; part < parts; part++) {
    const [start, end] = [part, part + 1].map((index) => Math.floor((piece.length * index) / parts))
    yield piece.subarray(start, end)
  }
}
