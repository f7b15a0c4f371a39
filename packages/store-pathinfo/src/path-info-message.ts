import {
  varintLength,
  varintLength64,
  WireReader,
  writeVarint,
  writeVarint64,
} from '@neve/castore-model/wire'

/**
 * The message `PathInfo` (spec 07 section 2), of which both generations have the same bytes. Every command reads or writes
 * one: without a library they start sooner.
 */
export interface PathInfoMessage {
  /** The message `Entry` of the root, as it is encoded; undefined where there is none. */
  readonly entry: Uint8Array | undefined
  readonly references: readonly Uint8Array[]
  readonly narInfo: NarInfoMessage | undefined
}

export interface NarInfoMessage {
  readonly narSize: bigint
  readonly narSha256: Uint8Array
  readonly signatures: readonly NamedBytes[]
  readonly referenceNames: readonly string[]
  readonly deriver: NamedBytes | undefined
  readonly ca: { readonly type: number; readonly digest: Uint8Array } | undefined
}

/** A `Signature` with its data, a `StorePath` with its digest. */
export interface NamedBytes {
  readonly name: string
  readonly bytes: Uint8Array
}

const VARINT = 0
const BYTES = 2
const NOTHING: Uint8Array = new Uint8Array(0)
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Reads a message as any protobuf library does: unknown fields are passed over, of a field that comes again the last one
 * counts, or both together where it is a message. Bytes are views of `bytes`.
 *
 * @throws MalformedMessageError
 */
export function readPathInfoMessage(bytes: Uint8Array): PathInfoMessage {
  let entry: Uint8Array | undefined
  const references: Uint8Array[] = []
  let narInfo: Uint8Array | undefined
  readFields(bytes, 'PathInfo', [0, BYTES, BYTES, BYTES], (field, reader) => {
    if (field === 1) entry = joined(entry, reader.slice())
    else if (field === 2) references.push(reader.slice())
    else narInfo = joined(narInfo, reader.slice())
  })
  return { entry, references, narInfo: narInfo && readNarInfo(narInfo) }
}

function readNarInfo(bytes: Uint8Array): NarInfoMessage {
  let narSize = 0n
  let narSha256: Uint8Array = NOTHING
  const signatures: NamedBytes[] = []
  const referenceNames: string[] = []
  let deriver: Uint8Array | undefined
  let ca: Uint8Array | undefined
  readFields(bytes, 'NARInfo', [0, VARINT, BYTES, BYTES, BYTES, BYTES, BYTES], (field, reader) => {
    if (field === 1) narSize = reader.u64()
    else if (field === 2) narSha256 = reader.slice()
    else if (field === 3) signatures.push(readNamedBytes(reader.slice(), 'Signature'))
    else if (field === 4) referenceNames.push(utf8.decode(reader.slice()))
    else if (field === 5) deriver = joined(deriver, reader.slice())
    else ca = joined(ca, reader.slice())
  })
  return {
    narSize,
    narSha256,
    signatures,
    referenceNames,
    deriver: deriver && readNamedBytes(deriver, 'StorePath'),
    ca: ca && readCa(ca),
  }
}

function readNamedBytes(message: Uint8Array, messageType: string): NamedBytes {
  let name = ''
  let bytes: Uint8Array = NOTHING
  readFields(message, messageType, [0, BYTES, BYTES], (field, reader) => {
    if (field === 1) name = utf8.decode(reader.slice())
    else bytes = reader.slice()
  })
  return { name, bytes }
}

function readCa(message: Uint8Array): { readonly type: number; readonly digest: Uint8Array } {
  let type = 0
  let digest: Uint8Array = NOTHING
  readFields(message, 'CA', [0, VARINT, BYTES], (field, reader) => {
    if (field === 1) type = Number(BigInt.asIntN(32, reader.u64()))
    else digest = reader.slice()
  })
  return { type, digest }
}

/**
 * @param types the wire type of each known field, by its number
 * @param take is called for each of them, and reads it
 */
function readFields(
  bytes: Uint8Array,
  messageType: string,
  types: readonly number[],
  take: (field: number, reader: WireReader) => void,
): void {
  const reader = new WireReader(bytes, messageType)
  while (!reader.done) {
    const { field, type } = reader.tag()
    const expected = types[field]
    if (expected === undefined) {
      reader.skip(field, type)
      continue
    }
    reader.expect(field, type, expected)
    take(field, reader)
  }
}

/** A message that comes in parts is all of them together. */
function joined(first: Uint8Array | undefined, second: Uint8Array): Uint8Array {
  return first === undefined ? second : message([first, second])
}

/** The canonical encoding: fields in order, none that is zero or empty. */
export function writePathInfoMessage({ entry, references, narInfo }: PathInfoMessage): Uint8Array {
  return message([
    ...(entry === undefined ? [] : [bytesField(1, entry)]),
    ...references.map((digest) => bytesField(2, digest)),
    ...(narInfo === undefined ? [] : [bytesField(3, writeNarInfo(narInfo))]),
  ])
}

function writeNarInfo(narInfo: NarInfoMessage): Uint8Array {
  const { narSize, narSha256, signatures, referenceNames, deriver, ca } = narInfo
  return message([
    ...numberField(1, narSize),
    ...optionalBytes(2, narSha256),
    ...signatures.map((signature) => bytesField(3, writeNamedBytes(signature))),
    ...referenceNames.map((name) => bytesField(4, Buffer.from(name))),
    ...(deriver === undefined ? [] : [bytesField(5, writeNamedBytes(deriver))]),
    ...(ca === undefined
      ? []
      : [bytesField(6, message([...numberField(1, BigInt(ca.type)), ...optionalBytes(2, ca.digest)]))]),
  ])
}

function writeNamedBytes({ name, bytes }: NamedBytes): Uint8Array {
  return message([...optionalBytes(1, Buffer.from(name)), ...optionalBytes(2, bytes)])
}

function message(fields: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const field of fields) {
    out.set(field, at)
    at += field.length
  }
  return out
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + varintLength(bytes.length) + bytes.length)
  const at = writeVarint(out, writeVarint(out, 0, 8 * field + BYTES), bytes.length)
  out.set(bytes, at)
  return out
}

function optionalBytes(field: number, bytes: Uint8Array): Uint8Array[] {
  return bytes.length === 0 ? [] : [bytesField(field, bytes)]
}

function numberField(field: number, value: bigint): Uint8Array[] {
  if (value === 0n) return []
  const out = new Uint8Array(1 + varintLength64(value))
  writeVarint64(out, writeVarint(out, 0, 8 * field + VARINT), value)
  return [out]
}
