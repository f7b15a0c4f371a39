import type { ArchiveEntry, FilledEntry } from './archive-entry.js'

const BLOCK = 512
const MAX_NAME = 100
/** Larger sizes do not fit eleven octal digits. */
const MAX_OCTAL = 8n ** 11n - 1n
const MODES = { directory: 0o755, file: 0o644, symlink: 0o777 } as const
/** As in a Nix store. */
const TIME = 1n
const END = new Uint8Array(2 * BLOCK)

/**
 * A tar archive in the format of GNU tar: the one that every tar reads and that takes names as the bytes that they are.
 * The same entries give the same bytes. Each piece belongs to the caller until it asks for the next.
 */
export async function* tarArchive(
  entries: AsyncIterable<FilledEntry>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of entries) {
    yield headersOf(entry)
    if (entry.content !== undefined) yield* entry.content
    const rest = paddingOf(entry.size)
    if (rest > 0) yield new Uint8Array(rest)
  }
  yield END
}

/** How long that archive is, in bytes. */
export async function tarLength(entries: AsyncIterable<ArchiveEntry>): Promise<bigint> {
  let length = BigInt(END.length)
  for await (const entry of entries) {
    length += BigInt(headersOf(entry).length) + entry.size + BigInt(paddingOf(entry.size))
  }
  return length
}

/** All that comes before the content: names and targets that are too long for a header have one of their own. */
function headersOf({ path, kind, executable, size, target = new Uint8Array(0) }: ArchiveEntry): Buffer {
  const name = kind === 'directory' ? Buffer.concat([path, Buffer.from('/')]) : Buffer.from(path)
  const type = { directory: '5', file: '0', symlink: '2' }[kind]
  return Buffer.concat([
    ...(target.length > MAX_NAME ? longText('K', target) : []),
    ...(name.length > MAX_NAME ? longText('L', name) : []),
    header({ name, target, type, size, mode: executable ? 0o755 : MODES[kind] }),
  ])
}

function longText(type: 'K' | 'L', text: Uint8Array): Buffer[] {
  const content = Buffer.concat([text, Buffer.alloc(1)])
  const size = BigInt(content.length)
  const head = header({ name: Buffer.from('././@LongLink'), target: Buffer.alloc(0), type, size, mode: 0 })
  return [head, content, Buffer.alloc(paddingOf(size))]
}

interface Header {
  readonly name: Uint8Array
  readonly target: Uint8Array
  readonly type: string
  readonly size: bigint
  readonly mode: number
}

function header({ name, target, type, size, mode }: Header): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.set(name.subarray(0, MAX_NAME), 0)
  octal(block, 100, 8, BigInt(mode))
  octal(block, 108, 8, 0n)
  octal(block, 116, 8, 0n)
  if (size <= MAX_OCTAL) octal(block, 124, 12, size)
  else {
    // Binary, with the highest bit set to say so.
    block[124] = 0x80
    block.writeBigUInt64BE(size, 128)
  }
  octal(block, 136, 12, TIME)
  block.fill(' ', 148, 156)
  block.write(type, 156, 'latin1')
  block.set(target.subarray(0, MAX_NAME), 157)
  block.write('ustar  \0', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

function octal(block: Buffer, at: number, width: number, value: bigint): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1')
}

function paddingOf(size: bigint): number {
  return (BLOCK - Number(size % BigInt(BLOCK))) % BLOCK
}
