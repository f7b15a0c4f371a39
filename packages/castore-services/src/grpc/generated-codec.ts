import type { MessageCodec } from './service-definition.js'

/** The coder of protobufjs. The generations differ in names only, so one serves both (spec 01 section 7.1). */
interface GeneratedMessage<T> {
  encode(message: T): { finish(): Uint8Array }
  decode(bytes: Uint8Array): T
}

/** The messages of a generated class. */
export function generated<T>(message: GeneratedMessage<T>): MessageCodec<T> {
  return { encode: (value) => message.encode(value).finish(), decode: (bytes) => message.decode(bytes) }
}
