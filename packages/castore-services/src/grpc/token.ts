import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { CastoreError } from '../errors.js'

/** The length of a token: one that is shorter could be guessed, one that is longer is none. */
const MIN_TOKEN = 16
const MAX_TOKEN = 512
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/

/**
 * Checks a token as `authorization: Bearer` carries it (RFC 6750). It is in no message.
 *
 * @param where what to call it in messages
 * @throws CastoreError `invalid-input`
 */
export function checkToken(token: string, where: string): string {
  const complaint =
    token.length < MIN_TOKEN || token.length > MAX_TOKEN
      ? `it has ${token.length} characters, expected ${MIN_TOKEN} to ${MAX_TOKEN}`
      : TOKEN.test(token)
        ? undefined
        : 'expected letters, digits and any of . _ ~ + / - only'
  if (complaint === undefined) return token
  throw new CastoreError('invalid-input', `${where}: unusable token: ${complaint}`)
}

/**
 * Reads a file that has one token on one line.
 *
 * @throws CastoreError `invalid-input` when it cannot be read, everybody may, or it has no token
 */
export function readTokenFile(path: string): string {
  return checkToken(readPrivateFile(path).text.trim(), path)
}

const MAX_FILE_SIZE = 64 * 1024
const FOR_OTHERS = constants.S_IRWXO

/** What a file of secrets has, and what it was like before it was read. */
export interface PrivateFile {
  readonly text: string
  readonly stats: Stats
}

/**
 * Reads a file of secrets, of at most 64 KiB, which nobody but its owner and group may read or write.
 *
 * @throws CastoreError `invalid-input`
 */
export function readPrivateFile(path: string): PrivateFile {
  try {
    // Opening a FIFO for reading would wait for a writer.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = fstatSync(file)
      refuseOpen(stats)
      const buffer = Buffer.alloc(MAX_FILE_SIZE + 1)
      const length = readSync(file, buffer, 0, buffer.length, 0)
      if (length > MAX_FILE_SIZE) throw new Error(`it is longer than ${MAX_FILE_SIZE} bytes`)
      return { text: new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length)), stats }
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `unable to read tokens from ${path}: ${reason}`, { cause })
  }
}

function refuseOpen(stats: Stats): void {
  if (!stats.isFile()) throw new Error('it is no file')
  if ((stats.mode & FOR_OTHERS) === 0) return
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  throw new Error(`everybody may read or write it, its mode is ${mode}: expected 0600 or 0640`)
}
