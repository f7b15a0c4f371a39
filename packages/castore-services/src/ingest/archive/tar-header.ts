import { ArchiveError } from './errors.js'

/** Everything in a tar archive is a multiple of this. */
export const BLOCK = 512

/** Which program's idea of the format a header follows: they put different things behind byte 257. */
export type TarDialect = 'v7' | 'ustar' | 'gnu'

/** One header as it stands in the archive; names are views of its block. */
export interface TarHeader {
  /** Where it stands. */
  readonly offset: number
  readonly dialect: TarDialect
  /** The type flag; 0 for files of old archives. */
  readonly type: number
  /** With the prefix, if there is one. */
  readonly name: Uint8Array
  readonly linkName: Uint8Array
  readonly mode: number
  /** Bytes of content that follow, as the header says. */
  readonly size: number
  readonly block: Uint8Array
}

const SPACE = 0x20
const ZERO = 0x30
const SEVEN = 0x37
const NAME = { at: 0, length: 100 }
const MODE = { at: 100, length: 8, name: 'mode' }
const SIZE = { at: 124, length: 12, name: 'size' }
const CHECKSUM = { at: 148, length: 8, name: 'checksum' }
const TYPE = 156
const LINK_NAME = { at: 157, length: 100 }
const MAGIC = 257
const PREFIX = { at: 345, length: 155 }

/** Whether a block is all zeros, as the end of an archive is. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < block.length; i++) if (block[i] !== 0) return false
  return true
}

/**
 * Reads a header (spec 06 section 5.1).
 *
 * @param block 512 bytes; names in the result are copies
 * @param offset where the block stands in the archive, for errors
 * @throws ArchiveError `checksum`, `header`
 */
export function parseHeader(block: Uint8Array, offset: number): TarHeader {
  checkSum(block, offset)
  // The slice of a Buffer would be a view.
  const own = new Uint8Array(block)
  const dialect = dialectOf(own)
  const name = textField(own, NAME)
  const about = { entry: name, offset }
  const prefix = dialect === 'ustar' ? textField(own, PREFIX) : name.subarray(0, 0)
  return {
    offset,
    dialect,
    type: own[TYPE]!,
    name: prefix.length === 0 ? name : joined(prefix, name),
    linkName: textField(own, LINK_NAME),
    mode: numberField(own, MODE, about),
    size: numberField(own, SIZE, about),
    block: own,
  }
}

/** A field of a header. */
export interface HeaderField {
  readonly at: number
  readonly length: number
  /** For errors. */
  readonly name: string
}

/**
 * A number in octal, or in base 256 where the first bit is set. Spaces and NULs around octal digits do not count;
 * nothing at all is 0.
 *
 * @throws ArchiveError `header`
 */
export function numberField(
  block: Uint8Array,
  { at, length, name }: HeaderField,
  about: { readonly entry?: Uint8Array | undefined; readonly offset: number },
): number {
  const field = block.subarray(at, at + length)
  const value = field[0]! >= 0x80 ? base256(field) : octal(field)
  if (value !== undefined && value <= Number.MAX_SAFE_INTEGER) return Number(value)
  const what = value === undefined ? 'expected an octal number' : `expected a number below 2^53, got ${value}`
  throw new ArchiveError('header', `${what} as the ${name}, in a field of bytes ${hex(field)}`, about)
}

/** @returns undefined for what is negative */
function base256(field: Uint8Array): bigint | undefined {
  if (field[0] === 0xff) return undefined
  let value = BigInt(field[0]! & 0x7f)
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte)
  return value
}

function octal(field: Uint8Array): number | undefined {
  let at = 0
  let end = field.length
  while (at < end && (field[at] === SPACE || field[at] === 0)) at++
  while (end > at && (field[end - 1] === SPACE || field[end - 1] === 0)) end--
  let value = 0
  for (; at < end; at++) {
    const digit = field[at]!
    if (digit < ZERO || digit > SEVEN) return undefined
    value = value * 8 + digit - ZERO
  }
  return value
}

function hex(field: Uint8Array): string {
  return Buffer.from(field).toString('hex')
}

/** The sum of all bytes, those of the sum itself taken as spaces. Some old programs added them up as signed. */
function checkSum(block: Uint8Array, offset: number): void {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK; i++) {
    const inSum = i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.length
    const byte = inSum ? SPACE : block[i]!
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  const expected = octal(block.subarray(CHECKSUM.at, CHECKSUM.at + CHECKSUM.length))
  if (expected === unsigned || expected === signed) return
  const found = expected === undefined ? 'no number' : expected.toString(8)
  throw new ArchiveError(
    'checksum',
    `expected a header with the checksum ${unsigned.toString(8)}, got ${found}: damaged, or no tar archive`,
    { offset },
  )
}

function dialectOf(block: Uint8Array): TarDialect {
  const magic = Buffer.from(block.buffer, block.byteOffset + MAGIC, 8).toString('latin1')
  if (magic === 'ustar  \0') return 'gnu'
  return magic.startsWith('ustar') ? 'ustar' : 'v7'
}

function textField(
  block: Uint8Array,
  { at, length }: { readonly at: number; readonly length: number },
): Uint8Array {
  return untilNul(block.subarray(at, at + length))
}

/** A view of what comes before the first NUL. */
export function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

function joined(prefix: Uint8Array, name: Uint8Array): Uint8Array {
  const path = new Uint8Array(prefix.length + 1 + name.length)
  path.set(prefix)
  path[prefix.length] = 0x2f
  path.set(name, prefix.length + 1)
  return path
}
