import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { escapeBytes } from '@neve/castore-model'
import type { Output } from '../io.js'
import { systemReason } from '../messages.js'
import { OutputError } from './errors.js'
import { FdOutput } from './fd-output.js'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, O_TRUNC } = constants

/**
 * Writes a file that is there whole or not at all: under another name beside it, synced, then renamed. What is no
 * regular file (a pipe, `/dev/null`) is written to as it is; a link is written through.
 *
 * @throws OutputError; what `fill` throws
 */
export async function writeFileAtomically(
  path: Buffer,
  signal: AbortSignal,
  fill: (output: Output) => Promise<void>,
): Promise<void> {
  const shown = escapeBytes(path)
  const target = attempt(shown, () => destinationOf(path))
  const temporary = target.replace
    ? Buffer.concat([target.path, Buffer.from(`.${randomBytes(6).toString('hex')}.tmp`)])
    : undefined
  const flags = temporary === undefined ? O_WRONLY | O_TRUNC : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
  const fd = attempt(shown, () => openSync(temporary ?? target.path, flags, 0o666))
  let open = true
  try {
    const output = new FdOutput(fd, shown, { signal })
    await fill(output)
    await output.flush()
    if (temporary !== undefined) {
      attempt(shown, () => {
        fsyncSync(fd)
        open = false
        closeSync(fd)
        renameSync(temporary, target.path)
      })
    }
  } catch (error) {
    if (temporary !== undefined) unlinkSync(temporary)
    throw error
  } finally {
    if (open) closeSync(fd)
  }
}

/** Where to write, and whether by replacing. */
function destinationOf(path: Buffer): { readonly path: Buffer; readonly replace: boolean } {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return { path, replace: true }
  // A folder is refused by opening it.
  return stat.isFile()
    ? { path: realpathSync(path, { encoding: 'buffer' }), replace: true }
    : { path, replace: false }
}

function attempt<T>(shown: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw new OutputError(shown, systemReason(error), { cause: error })
  }
}
