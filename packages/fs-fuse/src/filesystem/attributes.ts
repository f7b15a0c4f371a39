import { blake3, type Node } from '@neve/castore-model'

/** Types of files in a mode, as `stat` has them. */
export const FileMode = { type: 0o170000, directory: 0o040000, regular: 0o100000, symlink: 0o120000 } as const

/** Whom everything belongs to. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** What `stat` tells of something (spec 05 section 4). All times are 0. */
export interface Attributes extends Owner {
  /**
   * The inode number, in two halves of 32 bits: shared by everything of equal content, and 63 bits of its digest, so
   * that it is the same in every mount.
   */
  readonly inoLow: number
  readonly inoHigh: number
  readonly mode: number
  readonly nlink: number
  /** Length in bytes; of a directory the number of entries below it. Above 2^53 it is not exact. */
  readonly size: number
}

/** The root of a mount: it has no content of its own. */
export function rootAttributes({ uid, gid }: Owner): Attributes {
  return { inoLow: 1, inoHigh: 0, mode: FileMode.directory | 0o555, nlink: 2, size: 0, uid, gid }
}

/** Attributes of a node. They do not depend on what has been read of it. */
export function attributesOf(node: Node, { uid, gid }: Owner): Attributes {
  if (node.kind === 'symlink') {
    const target = node.target.bytes
    const digest = blake3.digest(target)
    const mode = FileMode.symlink | 0o444
    return { inoLow: u32(digest, 0), inoHigh: u31(digest), mode, nlink: 1, size: target.length, uid, gid }
  }
  const digest = node.digest.bytes
  const size = Number(node.size)
  const inoHigh = u31(digest)
  if (node.kind === 'directory') {
    const mode = FileMode.directory | 0o555
    return { inoLow: u32(digest, 0), inoHigh, mode, nlink: 2, size, uid, gid }
  }
  // An executable and a plain file of equal bytes differ in their mode, so they cannot be one inode.
  const inoLow = node.executable ? (u32(digest, 0) ^ 1) >>> 0 : u32(digest, 0)
  const mode = FileMode.regular | (node.executable ? 0o555 : 0o444)
  return { inoLow, inoHigh, mode, nlink: 1, size, uid, gid }
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function u31(digest: Uint8Array): number {
  return u32(digest, 4) & 0x7fffffff
}
