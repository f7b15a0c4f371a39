import { B3Digest } from './b3-digest.js'
import { compareBytes } from './bytes.js'
import {
  DirectoryError,
  type DirectoryErrorDetail,
  type DirectoryList,
  ValidateNodeError,
} from './directory-error.js'
import { InvalidDigestLengthError, PathComponentError, SymlinkTargetError } from './errors.js'
import type { Node } from './node.js'
import { PathComponent } from './path-component.js'
import { SymlinkTarget } from './symlink-target.js'
import { MAX_U64 } from './u64.js'
import { WireReader } from './wire-reader.js'

/** The `DirectoryNode` and `FileNode` messages as they came over the wire: nothing is checked. */
export interface ContentNodeMessage {
  readonly name: Uint8Array
  readonly digest: Uint8Array
  readonly size: bigint
  readonly executable?: boolean
}

/** The `SymlinkNode` message as it came over the wire. */
export interface SymlinkNodeMessage {
  readonly name: Uint8Array
  readonly target: Uint8Array
}

/** The `Directory` message as it came over the wire: names may be invalid, unsorted, repeated (spec 01 section 7.1). */
export interface DirectoryMessage {
  readonly directories: readonly ContentNodeMessage[]
  readonly files: readonly ContentNodeMessage[]
  readonly symlinks: readonly SymlinkNodeMessage[]
}

const NO_BYTES = new Uint8Array(0)

/** Reads the fields of a `DirectoryNode` or `FileNode`, the last of repeated ones winning. */
export function readContentNode(
  reader: WireReader,
  kind: 'directory' | 'file',
  base?: ContentNodeMessage,
): ContentNodeMessage {
  let { name = NO_BYTES, digest = NO_BYTES, size = 0n, executable = false } = base ?? {}
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field === 1 || field === 2) {
      reader.expect(field, type, 2)
      if (field === 1) name = reader.slice()
      else digest = reader.slice()
    } else if (field === 3) {
      reader.expect(field, type, 0)
      size = reader.u64()
    } else if (field === 4 && kind === 'file') {
      reader.expect(field, type, 0)
      executable = reader.u64() !== 0n
    } else reader.skip(field, type)
  }
  return { name, digest, size, executable }
}

/** Reads the fields of a `SymlinkNode`, the last of repeated ones winning. */
export function readSymlinkNode(reader: WireReader, base?: SymlinkNodeMessage): SymlinkNodeMessage {
  let { name = NO_BYTES, target = NO_BYTES } = base ?? {}
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field === 1 || field === 2) {
      reader.expect(field, type, 2)
      if (field === 1) name = reader.slice()
      else target = reader.slice()
    } else reader.skip(field, type)
  }
  return { name, target }
}

/**
 * Reads a `Directory` message as leniently as any protobuf library (spec 01 section 6.5), without checking what it says. The parts
 * are views into `bytes`. Throws `MalformedMessageError`.
 */
export function parseDirectoryMessage(bytes: Uint8Array): DirectoryMessage {
  const directories: ContentNodeMessage[] = []
  const files: ContentNodeMessage[] = []
  const symlinks: SymlinkNodeMessage[] = []
  const reader = new WireReader(bytes, 'Directory')
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field < 1 || field > 3) {
      reader.skip(field, type)
      continue
    }
    reader.expect(field, type, 2)
    if (field === 1) directories.push(readContentNode(reader.message('DirectoryNode'), 'directory'))
    else if (field === 2) files.push(readContentNode(reader.message('FileNode'), 'file'))
    else symlinks.push(readSymlinkNode(reader.message('SymlinkNode')))
  }
  return { directories, files, symlinks }
}

/**
 * The size of an unvalidated message: entries plus the sizes of its directories (spec 01 section 6.3). Throws `DirectoryError` of kind
 * `SizeOverflow` over 2^64−1.
 */
export function directoryMessageSize(message: DirectoryMessage): bigint {
  let size = BigInt(message.directories.length + message.files.length + message.symlinks.length)
  for (const directory of message.directories) size += directory.size
  if (size > MAX_U64) throw new DirectoryError('SizeOverflow')
  return size
}

/** The name of a message, or the `InvalidName` error; the name is copied. */
export function validName(name: Uint8Array, detail: DirectoryErrorDetail = {}): PathComponent {
  try {
    return PathComponent.from(name)
  } catch (cause) {
    if (cause instanceof PathComponentError) {
      throw new DirectoryError('InvalidName', { ...detail, entryName: name, cause })
    }
    throw cause
  }
}

/** The node of a message, or a `ValidateNodeError`; bytes are copied. */
export function validNode(kind: Node['kind'], message: ContentNodeMessage | SymlinkNodeMessage): Node {
  try {
    if ('target' in message) return { kind: 'symlink', target: SymlinkTarget.from(message.target) }
    const digest = B3Digest.from(message.digest)
    return kind === 'file'
      ? { kind: 'file', digest, size: message.size, executable: message.executable === true }
      : { kind: 'directory', digest, size: message.size }
  } catch (cause) {
    if (cause instanceof InvalidDigestLengthError || cause instanceof SymlinkTargetError) {
      throw new ValidateNodeError(cause)
    }
    throw cause
  }
}

/** As {@link validNode}, reporting the failure as that of an entry. */
export function validNamedNode(
  kind: Node['kind'],
  name: PathComponent,
  message: ContentNodeMessage | SymlinkNodeMessage,
  detail: DirectoryErrorDetail = {},
): Node {
  try {
    return validNode(kind, message)
  } catch (cause) {
    if (cause instanceof ValidateNodeError) {
      throw new DirectoryError('InvalidNode', { ...detail, entryName: name.bytes, cause })
    }
    throw cause
  }
}

/** Checks the order of one list as spec 01 section 8.3 step 1 has it, the empty name first comparing equal to nothing before it. */
function checkSorting(list: DirectoryList, elements: readonly { readonly name: Uint8Array }[]): void {
  let previous: Uint8Array = NO_BYTES
  for (const [index, { name }] of elements.entries()) {
    const order = compareBytes(name, previous)
    if (order < 0) throw new DirectoryError('WrongSorting', { entryName: name, list, index })
    if (order === 0) {
      validName(name, { list, index })
      throw new DirectoryError('DuplicateName', { entryName: name, list, index })
    }
    previous = name
  }
}

/**
 * Validates a message as spec 01 section 8.3 orders it: first failure wins, as a `DirectoryError` that tells kind, list and index.
 * The entries come back in the order of the lists, checked against duplicates and overflow; names, digests and targets are copies.
 */
export function validateDirectoryMessage(message: DirectoryMessage): [PathComponent, Node][] {
  checkSorting('directories', message.directories)
  checkSorting('files', message.files)
  checkSorting('symlinks', message.symlinks)
  const entries: { name: PathComponent; node: Node; list: DirectoryList; index: number }[] = []
  const convert = (
    list: DirectoryList,
    kind: Node['kind'],
    elements: readonly (ContentNodeMessage | SymlinkNodeMessage)[],
  ) => {
    for (const [index, element] of elements.entries()) {
      const name = validName(element.name, { list, index })
      entries.push({ name, node: validNamedNode(kind, name, element, { list, index }), list, index })
    }
  }
  convert('directories', 'directory', message.directories)
  convert('files', 'file', message.files)
  convert('symlinks', 'symlink', message.symlinks)
  const seen = new Set<string>()
  let size = 0n
  for (const { name, node, list, index } of entries) {
    size += 1n + (node.kind === 'directory' ? node.size : 0n)
    if (size > MAX_U64) throw new DirectoryError('SizeOverflow', { entryName: name.bytes, list, index })
    if (seen.has(name.key)) throw new DirectoryError('DuplicateName', { entryName: name.bytes, list, index })
    seen.add(name.key)
  }
  return entries.map(({ name, node }) => [name, node])
}
