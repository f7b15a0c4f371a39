/** Parts of the protobuf wire format, for messages that are read and written without a library. */

export { checkU64 } from './u64.js'
export { WireReader } from './wire-reader.js'
export { varintLength, varintLength64, writeVarint, writeVarint64 } from './wire-writer.js'
