export type { NarReaderOptions } from './archive.js'
export { NarEncoder, type NarEncoderOptions } from './encoder.js'
export { type NarEvent, type NarEventsOptions, narEvents, readNarToEnd } from './events.js'
export { type NarListing, NarListingEncoder, type NarListingNode } from './listing.js'
export { compareNames, DEFAULT_MAX_DEPTH, MAX_NAME_LENGTH, MAX_TARGET_LENGTH } from './names.js'
export type { NarDirectory, NarEntry, NarNode } from './nar-directory.js'
export { NarError } from './nar-error.js'
export type { NarFile } from './nar-file.js'
export { assertEnd, openNar } from './reader.js'
export {
  narDirectorySize,
  narEntryHeaderSize,
  narEntryOverhead,
  narEntrySize,
  narFileHeaderSize,
  narFileSize,
  narSymlinkSize,
} from './sizes.js'
export { NAR_TOKENS } from './tokens.js'
export {
  type NarDirectoryWriter,
  type NarNodeWriter,
  type NarRootWriter,
  type NarWriterOptions,
  openNarWriter,
} from './writer.js'
