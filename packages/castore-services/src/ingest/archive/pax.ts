import { ArchiveError } from './errors.js'

/** What a PAX header says of the entry that follows it: only what matters for a tree. */
export interface PaxRecords {
  readonly path?: Uint8Array
  readonly linkPath?: Uint8Array
  readonly size?: number
  /** Records of sparse files, in order: GNU repeats some. */
  readonly sparse: readonly SparseRecord[]
}

/** A record `GNU.sparse.…`. */
export interface SparseRecord {
  /** Without `GNU.sparse.`. */
  readonly key: string
  readonly value: Uint8Array
}

const NEWLINE = 0x0a
const SPACE = 0x20
const EQUALS = 0x3d
const SPARSE = 'GNU.sparse.'

/**
 * Reads the records of a PAX header: `LENGTH KEY=VALUE` and a newline, LENGTH counting all of it. Values are bytes,
 * whatever character set they say they have. The last of equal keys counts; an empty value takes a record back.
 *
 * @param content belongs to the result
 * @throws ArchiveError `extended-header`
 */
export function parsePax(content: Uint8Array, offset: number): PaxRecords {
  const found: { path?: Uint8Array; linkPath?: Uint8Array; size?: number } = {}
  const sparse: SparseRecord[] = []
  for (const { key, value } of records(content, offset)) {
    if (key === 'path') set(found, 'path', value)
    else if (key === 'linkpath') set(found, 'linkPath', value)
    else if (key === 'size') {
      if (value.length === 0) delete found.size
      else found.size = decimal(value, 'size', offset)
    } else if (key.startsWith(SPARSE)) sparse.push({ key: key.slice(SPARSE.length), value })
  }
  return { ...found, sparse }
}

/**
 * Checks a global header. What it says of all entries (a comment, an owner) is not part of a tree; a path or size for
 * all of them makes no sense, and programs do not agree what it means.
 *
 * @throws ArchiveError `extended-header`
 */
export function checkGlobalPax(content: Uint8Array, offset: number): void {
  for (const { key } of records(content, offset)) {
    if (!['path', 'linkpath', 'size'].includes(key) && !key.startsWith(SPARSE)) continue
    throw malformed(`a header for all entries cannot set ${key}`, offset)
  }
}

function set(found: Record<string, unknown>, name: 'path' | 'linkPath', value: Uint8Array): void {
  if (value.length === 0) delete found[name]
  else found[name] = value
}

function* records(
  content: Uint8Array,
  offset: number,
): Generator<{ readonly key: string; readonly value: Uint8Array }> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(SPACE, at)
    if (space < 0 || space === at || space - at > 10) {
      throw malformed(`expected the length of a record at its byte ${at}`, offset)
    }
    const length = decimal(content.subarray(at, space), 'length of a record', offset)
    const end = at + length
    if (end <= space + 1 || end > content.length || content[end - 1] !== NEWLINE) {
      throw malformed(`the record at its byte ${at} does not end where its length ${length} says`, offset)
    }
    const equals = content.indexOf(EQUALS, space + 1)
    if (equals < 0 || equals >= end || equals === space + 1) {
      throw malformed(`the record at its byte ${at} has no key`, offset)
    }
    const key = Buffer.from(content.subarray(space + 1, equals)).toString('latin1')
    yield { key, value: content.subarray(equals + 1, end - 1) }
    at = end
  }
}

/**
 * A number as PAX and GNU tar write it.
 *
 * @throws ArchiveError `extended-header` for anything but digits, or 2^53 and above
 */
export function decimal(value: Uint8Array, what: string, offset: number): number {
  let number = value.length === 0 ? Number.NaN : 0
  for (const byte of value) number = byte >= 0x30 && byte <= 0x39 ? number * 10 + byte - 0x30 : Number.NaN
  if (Number.isSafeInteger(number)) return number
  const text = Buffer.from(value.subarray(0, 40)).toString('latin1')
  throw malformed(`expected a number below 2^53 as the ${what}, got ${JSON.stringify(text)}`, offset)
}

function malformed(reason: string, offset: number): ArchiveError {
  return new ArchiveError('extended-header', `malformed extended header: ${reason}`, { offset })
}
