import { DirectoryError } from './directory-error.js'
import {
  type ContentNodeMessage,
  readContentNode,
  readSymlinkNode,
  type SymlinkNodeMessage,
  validName,
  validNamedNode,
  validNode,
} from './directory-message.js'
import type { Node } from './node.js'
import { elementLength, writeElement } from './node-encoding.js'
import type { PathComponent } from './path-component.js'
import { checkU64 } from './u64.js'
import { WireReader } from './wire-reader.js'

type Member =
  | { readonly kind: 'directory' | 'file'; readonly message: ContentNodeMessage }
  | { readonly kind: 'symlink'; readonly message: SymlinkNodeMessage }

/** The chosen member of the oneof: a repeated member is merged, another one replaces it. */
function readMember(bytes: Uint8Array): Member | undefined {
  let member: Member | undefined
  const reader = new WireReader(bytes, 'Node')
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field < 1 || field > 3) {
      reader.skip(field, type)
      continue
    }
    reader.expect(field, type, 2)
    if (field === 3) {
      const base = member?.kind === 'symlink' ? member.message : undefined
      member = { kind: 'symlink', message: readSymlinkNode(reader.message('SymlinkNode'), base) }
    } else {
      const kind = field === 1 ? 'directory' : 'file'
      const base = member?.kind === kind ? member.message : undefined
      const inner = reader.message(kind === 'directory' ? 'DirectoryNode' : 'FileNode')
      member = { kind, message: readContentNode(inner, kind, base) }
    }
  }
  return member
}

/**
 * The canonical `Node` message of a node under a name: raw bytes, not checked, empty for a nameless (root) node (spec 01 sections 6.4
 * and 8.1). Throws `InvalidSizeError` for a size outside 0 … 2^64−1.
 */
export function encodeNode(name: Uint8Array, node: Node): Uint8Array {
  if (node.kind !== 'symlink') checkU64(node.size)
  const out = new Uint8Array(elementLength(name, node))
  writeElement(out, 0, name, node)
  return out
}

/**
 * Reads a `Node` message that must have a valid name (spec 01 section 8.2). As lenient about the encoding as any protobuf library;
 * everything is copied. Throws `MalformedMessageError`, or `DirectoryError` of kind `NoNodeSet`, `InvalidName` or `InvalidNode`.
 */
export function decodeNamedNode(bytes: Uint8Array): { readonly name: PathComponent; readonly node: Node } {
  const member = readMember(bytes)
  if (member === undefined) throw new DirectoryError('NoNodeSet')
  const name = validName(member.message.name)
  return { name, node: validNamedNode(member.kind, name, member.message) }
}

/**
 * Reads a `Node` message that must have no name: a root node (spec 01, weakness 12). As lenient and copying as
 * {@link decodeNamedNode}. Throws `MalformedMessageError`, `ValidateNodeError`, or `DirectoryError` of kind `NoNodeSet` or
 * `NameInAnonymousNode`.
 */
export function decodeAnonymousNode(bytes: Uint8Array): Node {
  const member = readMember(bytes)
  if (member === undefined) throw new DirectoryError('NoNodeSet')
  const { name } = member.message
  if (name.length > 0) throw new DirectoryError('NameInAnonymousNode', { entryName: name })
  return validNode(member.kind, member.message)
}
