import protobuf from 'protobufjs/minimal.js'

// The messages of proto/bigtable.proto, those ways only in which a client needs them: requests are written, answers read.

const { Reader, Writer } = protobuf
type Reader = protobuf.Reader
type Writer = protobuf.Writer

/** Where cells are: the family, and what the column qualifier must match, as RE2 expressions. */
export interface ColumnFilter {
  readonly family: string
  readonly qualifier: string
}

export interface ReadRowsRequest {
  readonly table: string
  readonly appProfile: string
  /** Which rows. */
  readonly keys: readonly Uint8Array[]
  /** In place of keys: all rows whose keys come after this one. */
  readonly after?: Uint8Array | undefined
  readonly filter: ColumnFilter
  /** The most rows to return; 0: all. */
  readonly limit: number
}

export interface CellChunk {
  readonly rowKey: Uint8Array
  /** Undefined: as in the chunk before. */
  readonly family: string | undefined
  readonly qualifier: Uint8Array | undefined
  readonly value: Uint8Array
  readonly valueSize: number
  readonly resetRow: boolean
  readonly commitRow: boolean
}

/** One cell to be written. */
export interface CellWrite {
  readonly family: string
  /** The row's key, and the column's qualifier. */
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface WriteRequest {
  readonly table: string
  readonly appProfile: string
}

export interface MutateRowsRequest extends WriteRequest {
  /** Each replaces whatever the column of that row has. */
  readonly cells: readonly CellWrite[]
}

export interface CheckAndMutateRowRequest extends WriteRequest {
  readonly cell: CellWrite
  readonly filter: ColumnFilter
  /** What the column has to have for the cell to take its place. Without, it is written when nothing matches. */
  readonly expected: Uint8Array | undefined
}

export interface EntryStatus {
  readonly index: number
  readonly code: number
  readonly message: string
}

export function encodeReadRows(request: ReadRowsRequest): Uint8Array {
  const writer = Writer.create().uint32(tag(1)).string(request.table)
  writer.uint32(tag(2)).fork()
  for (const key of request.keys) writer.uint32(tag(1)).bytes(key)
  if (request.after !== undefined) writer.uint32(tag(2)).fork().uint32(tag(2)).bytes(request.after).ldelim()
  writer.ldelim()
  writeFilter(writer.uint32(tag(3)), request.filter)
  if (request.limit > 0) writer.uint32(tag(4, VARINT)).int64(request.limit)
  return writer.uint32(tag(5)).string(request.appProfile).finish()
}

export function encodeMutateRows(request: MutateRowsRequest): Uint8Array {
  const writer = Writer.create().uint32(tag(1)).string(request.table)
  for (const cell of request.cells) {
    writer.uint32(tag(2)).fork().uint32(tag(1)).bytes(cell.key)
    writeDeleteColumn(writer.uint32(tag(2)), cell)
    writeSetCell(writer.uint32(tag(2)), cell)
    writer.ldelim()
  }
  return writer.uint32(tag(3)).string(request.appProfile).finish()
}

export function encodeCheckAndMutateRow({
  table,
  appProfile,
  cell,
  filter,
  expected,
}: CheckAndMutateRowRequest): Uint8Array {
  const writer = Writer.create().uint32(tag(1)).string(table).uint32(tag(2)).bytes(cell.key)
  if (expected === undefined) {
    writeSetCell(writer.uint32(tag(5)), cell)
  } else {
    writeDeleteColumn(writer.uint32(tag(4)), cell)
    writeSetCell(writer.uint32(tag(4)), cell)
  }
  writeFilter(writer.uint32(tag(6)), filter, expected)
  return writer.uint32(tag(7)).string(appProfile).finish()
}

export function decodeReadRowsResponse(bytes: Uint8Array): CellChunk[] {
  const chunks: CellChunk[] = []
  eachField(Reader.create(bytes), (field, reader) => {
    if (field !== 1) return false
    chunks.push(readCellChunk(nested(reader)))
    return true
  })
  return chunks
}

export function decodeMutateRowsResponse(bytes: Uint8Array): EntryStatus[] {
  const entries: EntryStatus[] = []
  eachField(Reader.create(bytes), (field, reader) => {
    if (field !== 1) return false
    entries.push(readEntryStatus(nested(reader)))
    return true
  })
  return entries
}

/** @returns whether the filter of the request matched anything */
export function decodeCheckAndMutateRowResponse(bytes: Uint8Array): boolean {
  let matched = false
  eachField(Reader.create(bytes), (field, reader) => {
    if (field !== 1) return false
    matched = reader.bool()
    return true
  })
  return matched
}

const VARINT = 0
const DELIMITED = 2
const NOTHING = new Uint8Array(0)

function tag(field: number, wireType = DELIMITED): number {
  return (field << 3) | wireType
}

/** A chain of the two filters. */
/** @param value what cells have to have. Default: anything */
function writeFilter(writer: Writer, { family, qualifier }: ColumnFilter, value?: Uint8Array): void {
  writer.fork().uint32(tag(1)).fork()
  writer.uint32(tag(1)).fork().uint32(tag(5)).string(family).ldelim()
  writer.uint32(tag(1)).fork().uint32(tag(6)).bytes(Buffer.from(qualifier)).ldelim()
  if (value !== undefined) {
    writer.uint32(tag(1)).fork().uint32(tag(15)).fork()
    writer.uint32(tag(1)).bytes(value).uint32(tag(3)).bytes(value)
    writer.ldelim().ldelim()
  }
  writer.ldelim().ldelim()
}

function writeDeleteColumn(writer: Writer, { family, key }: CellWrite): void {
  writer.fork().uint32(tag(2)).fork()
  writer.uint32(tag(1)).string(family).uint32(tag(2)).bytes(key)
  writer.ldelim().ldelim()
}

function writeSetCell(writer: Writer, { family, key, value }: CellWrite): void {
  writer.fork().uint32(tag(1)).fork()
  writer.uint32(tag(1)).string(family).uint32(tag(2)).bytes(key)
  writer.uint32(tag(3, VARINT)).int64(-1).uint32(tag(4)).bytes(value)
  writer.ldelim().ldelim()
}

function readCellChunk(reader: Reader): CellChunk {
  let rowKey: Uint8Array = NOTHING
  let family: string | undefined
  let qualifier: Uint8Array | undefined
  let value: Uint8Array = NOTHING
  let valueSize = 0
  let resetRow = false
  let commitRow = false
  eachField(reader, (field) => {
    switch (field) {
      case 1:
        rowKey = reader.bytes()
        return true
      case 2:
        family = new TextDecoder().decode(readWrapped(nested(reader)))
        return true
      case 3:
        qualifier = readWrapped(nested(reader))
        return true
      case 6:
        value = reader.bytes()
        return true
      case 7:
        valueSize = reader.int32()
        return true
      case 8:
        resetRow = reader.bool()
        return true
      case 9:
        commitRow = reader.bool()
        return true
      default:
        return false
    }
  })
  return { rowKey, family, qualifier, value, valueSize, resetRow, commitRow }
}

function readWrapped(reader: Reader): Uint8Array {
  let value: Uint8Array = NOTHING
  eachField(reader, (field) => {
    if (field !== 1) return false
    value = reader.bytes()
    return true
  })
  return value
}

function readEntryStatus(reader: Reader): EntryStatus {
  let index = 0
  let code = 0
  let message = ''
  eachField(reader, (field) => {
    if (field === 1) {
      // An int64 on the wire; a request has nowhere near 2^31 entries.
      index = reader.int32()
      return true
    }
    if (field !== 2) return false
    eachField(nested(reader), (statusField, status) => {
      if (statusField === 1) code = status.int32()
      else if (statusField === 2) message = status.string()
      else return false
      return true
    })
    return true
  })
  return { index, code, message }
}

function nested(reader: Reader): Reader {
  return Reader.create(reader.bytes())
}

/** Calls `read` for each field; what it does not take is skipped. */
function eachField(reader: Reader, read: (field: number, reader: Reader) => boolean): void {
  while (reader.pos < reader.len) {
    const key = reader.uint32()
    if (!read(key >>> 3, reader)) reader.skipType(key & 7)
  }
}
