import { padLength } from '@neve/nix-compat/wire'
import { NAR_TOKENS } from './tokens.js'

const HEADER = BigInt(NAR_TOKENS.magic.length)
const CLOSE = BigInt(NAR_TOKENS.close.length)
const ENTRY = BigInt(NAR_TOKENS.entry.length + NAR_TOKENS.node.length)

/** Size in bytes of the archive that consists of one file of `size` bytes (spec 09 section 4.3). */
export function narFileSize(size: bigint, executable: boolean): bigint {
  const kind = executable ? NAR_TOKENS.executable : NAR_TOKENS.regular
  return HEADER + BigInt(kind.length) + packetSize(size) + CLOSE
}

/** Size in bytes of the archive that consists of one symlink with a target of `targetLength` bytes. */
export function narSymlinkSize(targetLength: number): bigint {
  return HEADER + BigInt(NAR_TOKENS.symlink.length) + packetSize(BigInt(targetLength)) + CLOSE
}

/**
 * Size in bytes of the archive of a directory whose entries take `entriesSize` bytes together: the sum of
 * `narEntrySize` over them, 0n for an empty one.
 */
export function narDirectorySize(entriesSize: bigint): bigint {
  return HEADER + BigInt(NAR_TOKENS.directory.length) + entriesSize + CLOSE
}

/**
 * Bytes that a directory grows by with an entry whose name has `nameLength` bytes, given the size of the archive
 * that the entry's node would make alone.
 */
export function narEntrySize(nameLength: number, nodeArchiveSize: bigint): bigint {
  return narEntryOverhead(nameLength) + nodeArchiveSize - HEADER
}

/** Bytes of an entry around its node: what stands before and after it, the name included. */
export function narEntryOverhead(nameLength: number): bigint {
  return ENTRY + packetSize(BigInt(nameLength)) + CLOSE
}

/**
 * Bytes of an entry before its node: after them comes what follows the opening in an archive of that node alone.
 */
export function narEntryHeaderSize(nameLength: number): bigint {
  return ENTRY + packetSize(BigInt(nameLength))
}

/** Bytes from the end of an archive's opening, or of an entry's, to the content of a file. */
export function narFileHeaderSize(executable: boolean): bigint {
  return BigInt((executable ? NAR_TOKENS.executable : NAR_TOKENS.regular).length + 8)
}

function packetSize(length: bigint): bigint {
  return 8n + length + BigInt(padLength(length))
}
