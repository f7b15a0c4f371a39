import type { B3Digest } from './b3-digest.js'
import type { SymlinkTarget } from './symlink-target.js'

/** Refers to a directory; `size` is what the directory's own `size()` gives, 0 to 2^64−1 (spec 01 section 6.3). */
export interface DirectoryNode {
  readonly kind: 'directory'
  readonly digest: B3Digest
  readonly size: bigint
}

/** Refers to a blob; `size` is its length in bytes, 0 to 2^64−1. */
export interface FileNode {
  readonly kind: 'file'
  readonly digest: B3Digest
  readonly size: bigint
  readonly executable: boolean
}

/** A symbolic link. */
export interface SymlinkNode {
  readonly kind: 'symlink'
  readonly target: SymlinkTarget
}

/** A directory, a file or a symlink, without a name: that belongs to whatever holds the node (spec 01 section 6.1). */
export type Node = DirectoryNode | FileNode | SymlinkNode

/** Whether both are of the same kind with equal fields. */
export function equalNodes(a: Node, b: Node): boolean {
  if (a === b) return true
  if (a.kind === 'symlink') return b.kind === 'symlink' && a.target.equals(b.target)
  if (a.kind === 'file') {
    return (
      b.kind === 'file' && a.size === b.size && a.executable === b.executable && a.digest.equals(b.digest)
    )
  }
  return b.kind === 'directory' && a.size === b.size && a.digest.equals(b.digest)
}
