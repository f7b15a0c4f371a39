const SIZE = 256 * 1024

/** The same bytes in pieces that are worth sending: what is small is copied together. Each is valid until the next. */
export async function* gathered(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(SIZE)
  let length = 0
  for await (const piece of source) {
    if (length + piece.length > SIZE) {
      if (length > 0) yield buffer.subarray(0, length)
      length = 0
    }
    if (piece.length >= SIZE / 2) {
      if (length > 0) yield buffer.subarray(0, length)
      length = 0
      yield piece
    } else {
      buffer.set(piece, length)
      length += piece.length
    }
  }
  if (length > 0) yield buffer.subarray(0, length)
}
