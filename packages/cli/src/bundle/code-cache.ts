import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import type { Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/** `off`: compile everything anew; `write`: write what was compiled, too. */
const { NEVE_CODE_CACHE: MODE } = process.env

/** The length of the text in front of V8's data, in bytes: a multiple of its words, so that it need not be copied. */
const HEADER = 128
/** Whoever may write a file with other permissions than its owner's. */
const WRITABLE_BY_OTHERS = 0o022
/** How the text of a bundle begins: a comment with the hash of the rest. */
const STAMP = '/*'.length + 64

/**
 * What V8 made of a bundle when the command was built, if it was made of this text by this Node.js and lies there as
 * it was written. V8 itself looks at its version, its flags and the length of the text; that it is of this text, and
 * undamaged, it takes for granted.
 *
 * @param paths the first that is there is taken
 * @param bundle the file that the text is from: the cache has to belong to its owner, and to be writable by nobody else
 */
export function readCodeCache(paths: readonly string[], source: string, bundle: string): Buffer | undefined {
  if (MODE === 'off') return undefined
  for (const path of paths) {
    try {
      const bytes = readOwn(path, bundle)
      const data = bytes?.subarray(HEADER)
      if (data !== undefined && bytes!.toString('latin1', 0, HEADER) === header(source, data)) return data
      return undefined
    } catch {
      // There is none: then everything is compiled, which takes a little longer.
    }
  }
  return undefined
}

/** When asked to, keeps what this thread has compiled by its end. Several threads: what is more of it. */
export function writeCodeCacheAtExit(script: Script, path: string, source: string): void {
  if (MODE !== 'write') return
  process.on('exit', () => {
    const data = script.createCachedData()
    if (data.length + HEADER <= (statSync(path, { throwIfNoEntry: false })?.size ?? 0)) return
    const temporary = `${path}.${process.pid}.${crc32(data)}`
    writeFileSync(temporary, Buffer.concat([Buffer.from(header(source, data)), data]), { mode: 0o644 })
    renameSync(temporary, path)
  })
}

function readOwn(path: string, bundle: string): Buffer | undefined {
  const file = openSync(path, 'r')
  try {
    const { uid, mode } = fstatSync(file)
    if ((mode & WRITABLE_BY_OTHERS) !== 0 || uid !== statSync(bundle).uid) return undefined
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function header(source: string, data: Buffer): string {
  const made = `neve ${source.slice(2, STAMP)} ${process.version} ${process.arch} ${data.length} ${crc32(data)}`
  return `${made.padEnd(HEADER - 1)}\n`
}
