/** Fields of 64 bits are two of 32, low half first. */
export type Field = number | Uint8Array | readonly [low: number, high: number]

/** One request as the kernel writes it: the header of spec 05 section 11.3 and a body. */
export function frame(
  opcode: number,
  { unique = 2, node = 1, length }: { unique?: number; node?: number; length?: number } = {},
  ...body: readonly Field[]
): Buffer {
  const pieces = body.map(bytesOf)
  const header = Buffer.alloc(40)
  const total = 40 + pieces.reduce((sum, piece) => sum + piece.length, 0)
  header.writeUInt32LE(length ?? total, 0)
  header.writeUInt32LE(opcode, 4)
  header.writeBigUInt64LE(BigInt(unique), 8)
  header.writeBigUInt64LE(BigInt(node), 16)
  header.writeUInt32LE(1000, 24)
  header.writeUInt32LE(100, 28)
  header.writeUInt32LE(4242, 32)
  return Buffer.concat([header, ...pieces])
}

/** A name with the NUL behind it. */
export function named(name: string | Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(name), Buffer.alloc(1)])
}

/** A field of 64 bits. */
export function u64(value: number): readonly [number, number] {
  return [value % 2 ** 32, Math.floor(value / 2 ** 32)]
}

/** The error of a reply: 0, or the negative number of an error. */
export function errorOf(reply: Buffer | undefined): number | undefined {
  return reply?.readInt32LE(4)
}

function bytesOf(field: Field): Uint8Array {
  if (field instanceof Uint8Array) return field
  const words = typeof field === 'number' ? [field] : field
  const bytes = Buffer.alloc(words.length * 4)
  words.forEach((word, index) => {
    bytes.writeUInt32LE(word >>> 0, index * 4)
  })
  return bytes
}

/** The INIT request of Linux 6.18 (spec 05 section 10). */
export const INIT_OF_LINUX: Buffer = Buffer.from(
  `680000001a000000020000000000000000000000000000000000000000000000
   0000000000000000070000002d00000000000200fbffff73fd05000000000000
   0000000000000000000000000000000000000000000000000000000000000000
   0000000000000000`.replaceAll(/\s/g, ''),
  'hex',
)
