import type { Node } from './node.js'
import { varintLength, varintLength64, writeVarint, writeVarint64 } from './wire-writer.js'

/** Tags of the lists of a `Directory`, which are those of the members of a `Node` too. */
export const DIRECTORY_TAG = 0x0a
export const FILE_TAG = 0x12
export const SYMLINK_TAG = 0x1a

export function tagOf(node: Node): number {
  return node.kind === 'directory' ? DIRECTORY_TAG : node.kind === 'file' ? FILE_TAG : SYMLINK_TAG
}

function bytesFieldLength(length: number): number {
  return length === 0 ? 0 : 1 + varintLength(length) + length
}

/** Bytes of a `DirectoryNode`, `FileNode` or `SymlinkNode` message, without tag and length. */
export function payloadLength(name: Uint8Array, node: Node): number {
  const nameLength = bytesFieldLength(name.length)
  if (node.kind === 'symlink') return nameLength + bytesFieldLength(node.target.bytes.length)
  const sizeLength = node.size === 0n ? 0 : 1 + varintLength64(node.size)
  return nameLength + 34 + sizeLength + (node.kind === 'file' && node.executable ? 2 : 0)
}

/** Bytes of the same message as an element: with tag and length. */
export function elementLength(name: Uint8Array, node: Node): number {
  const payload = payloadLength(name, node)
  return 1 + varintLength(payload) + payload
}

function writeBytesField(out: Uint8Array, at: number, tag: number, bytes: Uint8Array): number {
  const length = bytes.length
  if (length === 0) return at
  out[at] = tag
  const start = writeVarint(out, at + 1, length)
  // A loop beats the call into `set` for digests and for the names that most entries have.
  if (length < 48) for (let i = 0; i < length; i++) out[start + i] = bytes[i]!
  else out.set(bytes, start)
  return start + length
}

/** How many bytes {@link writeFileElement} may need beside those of the name. */
export const FILE_ELEMENT_ROOM = 64

/**
 * Writes the element of a file as {@link writeElement} does, for a loop over many small files.
 *
 * @param digest 32 bytes
 * @param size a safe integer
 * @returns the offset after it
 */
export function writeFileElement(
  out: Uint8Array,
  start: number,
  name: Uint8Array,
  digest: Uint8Array,
  size: number,
  executable: boolean,
): number {
  const sizeLength = size === 0 ? 0 : 1 + varintLength(size)
  out[start] = FILE_TAG
  let at = writeVarint(out, start + 1, bytesFieldLength(name.length) + 34 + sizeLength + (executable ? 2 : 0))
  at = writeBytesField(out, at, 0x0a, name)
  at = writeBytesField(out, at, 0x12, digest)
  if (size !== 0) {
    out[at] = 0x18
    at = writeVarint(out, at + 1, size)
  }
  if (executable) {
    out[at++] = 0x20
    out[at++] = 1
  }
  return at
}

/** Writes an element in canonical form (spec 01 section 6.4); gives the offset after it. */
export function writeElement(out: Uint8Array, start: number, name: Uint8Array, node: Node): number {
  out[start] = tagOf(node)
  let at = writeVarint(out, start + 1, payloadLength(name, node))
  at = writeBytesField(out, at, 0x0a, name)
  if (node.kind === 'symlink') return writeBytesField(out, at, 0x12, node.target.bytes)
  at = writeBytesField(out, at, 0x12, node.digest.bytes)
  if (node.size !== 0n) {
    out[at] = 0x18
    at = writeVarint64(out, at + 1, node.size)
  }
  if (node.kind === 'file' && node.executable) {
    out[at++] = 0x20
    out[at++] = 1
  }
  return at
}
