export { B3Digest } from './b3-digest.js'
export { type Blake3, type Blake3Hasher, blake3 } from './blake3.js'
export { compareBytes, equalBytes } from './bytes.js'
export {
  type ChildDirectoryEntry,
  Directory,
  type DirectoryEntry,
  type DirectoryLimits,
  MAX_DIRECTORY_BYTES,
  sizeAccepted,
} from './directory.js'
export { DirectoryBuilder } from './directory-builder.js'
export {
  DirectoryError,
  type DirectoryErrorKind,
  type DirectoryList,
  ValidateNodeError,
} from './directory-error.js'
export {
  type ContentNodeMessage,
  type DirectoryMessage,
  directoryMessageSize,
  parseDirectoryMessage,
  type SymlinkNodeMessage,
} from './directory-message.js'
export { type DirectorySizes, directorySize } from './directory-size.js'
export {
  CastoreModelError,
  HasherFinishedError,
  InvalidDigestLengthError,
  InvalidDigestTextError,
  InvalidSizeError,
  MalformedMessageError,
  PathComponentError,
  type PathComponentErrorKind,
  PathError,
  type PathErrorKind,
  SymlinkTargetError,
  type SymlinkTargetErrorKind,
} from './errors.js'
export { escapeBytes } from './escape.js'
export { HashingReader, hashThrough, type IncrementalHash } from './hashing-reader.js'
export {
  type DirectoryJson,
  type DirectoryNodeJson,
  directoryFromJson,
  directoryToJson,
  type EntryJson,
  type FileNodeJson,
  type NodeJson,
  NodeJsonError,
  nodeFromJson,
  nodeToJson,
  type SizeJson,
  type SymlinkNodeJson,
} from './json.js'
export { type DirectoryNode, equalNodes, type FileNode, type Node, type SymlinkNode } from './node.js'
export { FILE_ELEMENT_ROOM, writeFileElement } from './node-encoding.js'
export { decodeAnonymousNode, decodeNamedNode, encodeNode } from './node-message.js'
export { type FromHostPathOptions, Path } from './path.js'
export { MAX_NAME_LENGTH, PathComponent } from './path-component.js'
export {
  type ChunkMeta,
  decodeStatBlobResponse,
  encodeStatBlobResponse,
  parseStatBlobResponse,
  type StatBlobExpectation,
  type StatBlobResponseMessage,
  ValidateStatBlobResponseError,
  type ValidateStatBlobResponseErrorKind,
  validateStatBlobResponse,
} from './stat-blob.js'
export { MAX_TARGET_LENGTH, SymlinkTarget } from './symlink-target.js'
