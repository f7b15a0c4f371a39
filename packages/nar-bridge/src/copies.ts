/** Bytes of its own. The `slice` of a Buffer, which a piece may be, is a view of the same ones. */
export function copyOf(piece: Uint8Array): Uint8Array {
  return new Uint8Array(piece)
}

/** The same pieces, for those who hold on to one while they ask for the next. */
export async function* copies(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of source) yield copyOf(piece)
}
