import protobuf from 'protobufjs/minimal.js'
import type { MessageCodec } from '../../service-definition.js'

// The messages of proto/grpc/reflection.proto.template; both versions have the same bytes.

const { Reader, Writer } = protobuf
type Writer = protobuf.Writer

/** What a client wants to know; undefined: nothing that there is. */
export type ReflectionQuestion =
  | { readonly kind: 'file' | 'symbol' | 'extension-numbers' | 'services'; readonly name: string }
  | { readonly kind: 'extension'; readonly name: string; readonly number: number }

/** A request, with its bytes: answers quote it. */
export interface ReflectionRequest {
  readonly host: string
  readonly question: ReflectionQuestion | undefined
  readonly bytes: Uint8Array
}

/** What is answered to a request. */
export type ReflectionAnswer =
  | { readonly kind: 'files'; readonly files: readonly Uint8Array[] }
  | { readonly kind: 'extension-numbers'; readonly type: string }
  | { readonly kind: 'services'; readonly names: readonly string[] }
  | { readonly kind: 'error'; readonly status: number; readonly details: string }

/** An answer with the request that it is for. */
export interface ReflectionResponse {
  readonly request: ReflectionRequest
  readonly answer: ReflectionAnswer
}

const KINDS = new Map<number, 'file' | 'symbol' | 'extension-numbers' | 'services'>([
  [3, 'file'],
  [4, 'symbol'],
  [6, 'extension-numbers'],
  [7, 'services'],
])
const HOST = 1
const EXTENSION = 5

/** Of the requests. Encoding gives the bytes back that were decoded. */
export const reflectionRequest: MessageCodec<ReflectionRequest> = {
  encode: ({ bytes }) => bytes,
  decode: (bytes) => {
    const reader = Reader.create(bytes)
    let host = ''
    let question: ReflectionQuestion | undefined
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      const kind = KINDS.get(tag >>> 3)
      if ((tag & 7) !== DELIMITED) reader.skipType(tag & 7)
      else if (tag >>> 3 === HOST) host = reader.string()
      else if (kind !== undefined) question = { kind, name: reader.string() }
      else if (tag >>> 3 === EXTENSION) question = decodeExtension(reader.bytes())
      else reader.skip(reader.uint32())
    }
    return { host, question, bytes }
  },
}

function decodeExtension(bytes: Uint8Array): ReflectionQuestion {
  const reader = Reader.create(bytes)
  let name = ''
  let number = 0
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag === tagOf(1)) name = reader.string()
    else if (tag === 2 << 3) number = reader.int32()
    else reader.skipType(tag & 7)
  }
  return { kind: 'extension', name, number }
}

/** Of the answers, which are only written. */
export const reflectionResponse: MessageCodec<ReflectionResponse> = {
  encode: ({ request, answer }) => {
    const writer = Writer.create()
    if (request.host !== '') writer.uint32(tagOf(1)).string(request.host)
    writer.uint32(tagOf(2)).bytes(request.bytes)
    writeAnswer(writer, answer)
    return writer.finish()
  },
  decode: () => {
    throw new Error('answers are only written')
  },
}

function writeAnswer(writer: Writer, answer: ReflectionAnswer): void {
  switch (answer.kind) {
    case 'files':
      writer.uint32(tagOf(4)).fork()
      for (const file of answer.files) writer.uint32(tagOf(1)).bytes(file)
      break
    case 'extension-numbers':
      writer.uint32(tagOf(5)).fork().uint32(tagOf(1)).string(answer.type)
      break
    case 'services':
      writer.uint32(tagOf(6)).fork()
      for (const name of answer.names) writer.uint32(tagOf(1)).fork().uint32(tagOf(1)).string(name).ldelim()
      break
    case 'error':
      writer
        .uint32(tagOf(7))
        .fork()
        .uint32(1 << 3)
        .int32(answer.status)
      writer.uint32(tagOf(2)).string(answer.details)
  }
  writer.ldelim()
}

const DELIMITED = 2

function tagOf(field: number): number {
  return (field << 3) | DELIMITED
}
