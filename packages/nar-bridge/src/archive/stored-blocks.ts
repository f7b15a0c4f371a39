/** The most bytes in a block that is not compressed (RFC 1951 section 3.2.4). */
const MAX_BLOCK = 65_535
const HEAD = 5

/**
 * Content as a deflate stream in which nothing is compressed: blocks of the greatest length, however the pieces come.
 *
 * @param size of the content, more than 0
 * @param see is given each piece of the content
 */
export async function* storedBlocks(
  content: AsyncIterable<Uint8Array>,
  size: bigint,
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = size
  let inBlock = 0
  for await (const piece of content) {
    see(piece)
    for (let at = 0; at < piece.length; ) {
      if (inBlock === 0) {
        inBlock = left < BigInt(MAX_BLOCK) ? Number(left) : MAX_BLOCK
        left -= BigInt(inBlock)
        yield blockHead(inBlock, left === 0n)
      }
      const part = piece.subarray(at, at + inBlock)
      yield part
      at += part.length
      inBlock -= part.length
    }
  }
}

/** How long that stream is, in bytes; 0 for no content. */
export function storedBlocksLength(size: bigint): bigint {
  const max = BigInt(MAX_BLOCK)
  return size + BigInt(HEAD) * ((size + max - 1n) / max)
}

function blockHead(length: number, isLast: boolean): Uint8Array {
  const head = Buffer.alloc(HEAD)
  head[0] = isLast ? 1 : 0
  head.writeUInt16LE(length, 1)
  head.writeUInt16LE(length ^ MAX_BLOCK, 3)
  return head
}
