// What the machine can do at best: the parts of a job that nothing makes faster.
import { createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readSync } from 'node:fs'
import { writeAll } from './content.mjs'
import { timed } from './measure.mjs'

const BLOCK = 1 << 20

/**
 * SHA-256 of a file in one thread: a NAR hash can be taken no other way.
 *
 * @param {string} path
 * @returns {Promise<number>} seconds
 */
export function sha256Alone(path) {
  const block = Buffer.allocUnsafe(BLOCK)
  return timed(() => {
    const descriptor = openSync(path, 'r')
    const hash = createHash('sha256')
    for (let read = -1; read !== 0; ) {
      read = readSync(descriptor, block, 0, BLOCK, null)
      hash.update(block.subarray(0, read))
    }
    hash.digest()
    closeSync(descriptor)
  })
}

/**
 * Writes so many bytes to a new file and waits until they are on disk.
 *
 * @param {string} path
 * @param {number} bytes
 * @returns {Promise<number>} seconds
 */
export function writeAndSync(path, bytes) {
  const block = Buffer.alloc(BLOCK, 0xa5)
  return timed(() => {
    const descriptor = openSync(path, 'wx')
    for (let left = bytes; left > 0; left -= BLOCK)
      writeAll(descriptor, block.subarray(0, Math.min(left, BLOCK)))
    fdatasyncSync(descriptor)
    closeSync(descriptor)
  })
}
