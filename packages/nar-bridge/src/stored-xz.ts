import { crc32 } from 'node:zlib'

/** What one chunk of LZMA2 holds at most where nothing is compressed, in bytes. */
const CHUNK = 65_536
const CHUNK_HEADER = 3

/** `.xz`, version 1, with CRC-32 as the check of contents. */
const STREAM_FLAGS = Buffer.from([0x00, 0x01])
/** One filter, LZMA2 with the smallest dictionary, sizes unsaid; padded. */
const BLOCK_HEADER = sealed(Buffer.from([0x02, 0x00, 0x21, 0x01, 0x00, 0x00, 0x00, 0x00]))
const STREAM_HEADER = Buffer.concat([
  Buffer.from('\xfd7zXZ\0', 'latin1'),
  STREAM_FLAGS,
  le32(crc32(STREAM_FLAGS)),
])
const FOOTER_SIZE = 12
const CHECK_SIZE = 4

/** How long {@link storedXz} makes so many bytes. */
export function storedXzSize(size: bigint): bigint {
  const block = blockSize(size)
  return BigInt(STREAM_HEADER.length) + padded(block) + BigInt(indexOf(block, size).length + FOOTER_SIZE)
}

/**
 * Bytes as an xz file in which nothing is compressed: LZMA2 has chunks for that (the .xz file format, sections 2 to 4).
 * It costs a copy and a checksum, where compressing costs a thousand times as much.
 *
 * @param source read once; each piece is done with when the next is asked for
 * @returns pieces; each belongs to the caller
 */
export async function* storedXz(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.concat([STREAM_HEADER, BLOCK_HEADER])
  let size = 0
  let check = 0
  // Chunks but for the last one are full, so that the length follows from the size.
  const chunk = Buffer.alloc(CHUNK_HEADER + CHUNK)
  let filled = 0
  let isFirst = true
  const taken = () => {
    chunk[0] = isFirst ? 1 : 2
    chunk.writeUInt16BE(filled - 1, 1)
    isFirst = false
    const bytes = Buffer.from(chunk.subarray(0, CHUNK_HEADER + filled))
    filled = 0
    return bytes
  }
  for await (const piece of source) {
    check = crc32(piece, check)
    size += piece.length
    const done: Buffer[] = []
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + CHUNK - filled)
      chunk.set(part, CHUNK_HEADER + filled)
      filled += part.length
      at += part.length
      if (filled === CHUNK) done.push(taken())
    }
    if (done.length > 0) yield Buffer.concat(done)
  }
  const block = blockSize(BigInt(size))
  const padding = Buffer.alloc(Number(padded(block) - block))
  const index = indexOf(block, BigInt(size))
  const footer = Buffer.concat([le32(index.length / 4 - 1), STREAM_FLAGS])
  yield Buffer.concat([
    ...(filled > 0 ? [taken()] : []),
    Buffer.from([0]),
    padding,
    le32(check),
    index,
    le32(crc32(footer)),
    footer,
    Buffer.from('YZ'),
  ])
}

/** Header, chunks, end mark and check of the one block, without its padding. */
function blockSize(size: bigint): bigint {
  const chunks = (size + BigInt(CHUNK) - 1n) / BigInt(CHUNK)
  return BigInt(BLOCK_HEADER.length + 1 + CHECK_SIZE) + size + chunks * BigInt(CHUNK_HEADER)
}

function indexOf(block: bigint, size: bigint): Buffer {
  const records = Buffer.concat([Buffer.from([0x00, 0x01]), variable(block), variable(size)])
  return sealed(Buffer.concat([records, Buffer.alloc(-records.length & 3)]))
}

/** Whole words of four bytes. */
function padded(size: bigint): bigint {
  return (size + 3n) & ~3n
}

/** A number in groups of seven bits, lowest first. */
function variable(value: bigint): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left >>= 7n) {
    if (left < 0x80n) {
      bytes.push(Number(left))
      return Buffer.from(bytes)
    }
    bytes.push(Number(left & 0x7fn) | 0x80)
  }
}

function sealed(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, le32(crc32(bytes))])
}

function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}
