import type { Stats } from 'node:fs'
import type { FileFailure } from './file-tasks-protocol.js'

/** What a file is that cannot be stored, in words. */
export function wrongType(path: Uint8Array, stat: Stats): FileFailure {
  const type = stat.isFIFO()
    ? 'a FIFO'
    : stat.isSocket()
      ? 'a socket'
      : stat.isCharacterDevice()
        ? 'a character device'
        : stat.isBlockDevice()
          ? 'a block device'
          : stat.isDirectory()
            ? 'a directory'
            : 'of an unknown type'
  return { kind: 'type', path: new Uint8Array(path), message: type }
}
