import type { Buffer } from 'node:buffer'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import type { ByteInput } from '@neve/nix-compat/wire'
import { type NarEvent, type NarEventsOptions, narEvents } from './events.js'
import { joinPath, pathBytes, showPath } from './host-path.node.js'
import { NarError } from './nar-error.js'

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/**
 * Unpacks an archive to `destination`, with the modes that `nix-store --restore` gives, which sets a umask of its
 * own: 0755 for directories and executables, 0644 for other files, whatever the process' umask.
 *
 * `destination` must not exist, not even as a dangling link: else `invalid-input` with `path`. Everything is made
 * new and nothing is followed, so that no archive can write outside of it. Errors are those of `narEvents` and of
 * the filesystem; what was unpacked until then is removed. `wholeStream` as for `narEvents`.
 */
export async function restorePath(
  input: ByteInput,
  destination: string | Uint8Array,
  options: NarEventsOptions = {},
): Promise<void> {
  const root = pathBytes(destination)
  const open: Buffer[] = []
  let created = false
  try {
    for await (const event of narEvents(input, options)) {
      if (event.type === 'directory-end') {
        open.pop()
        continue
      }
      const parent = open.at(-1)
      const path = parent === undefined ? root : joinPath(parent, event.name)
      const file = parent === undefined ? createRoot(event, path) : create(event, path)
      created = true
      if (event.type === 'directory-start') open.push(path)
      if (event.type === 'file') await writeContent(event, file)
    }
  } catch (error) {
    if (created) await rm(root, { recursive: true, force: true })
    throw error
  }
}

type NodeEvent = Exclude<NarEvent, { type: 'directory-end' }>

function createRoot(event: NodeEvent, path: Buffer): number {
  try {
    return create(event, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const details = {
      path: showPath(path),
      expected: 'no such path',
      actual: 'something there',
      cause: error,
    }
    throw new NarError('invalid-input', 'destination exists', details)
  }
}

/** Makes the node; of a file returns the descriptor. */
function create(event: NodeEvent, path: Buffer): number {
  switch (event.type) {
    case 'directory-start':
      mkdirSync(path, 0o755)
      if ((lstatSync(path).mode & 0o777) !== 0o755) setDirectoryMode(path)
      return -1
    case 'symlink':
      symlinkSync(event.target as Buffer, path)
      return -1
    case 'file':
      return openSync(path, CREATE, event.executable ? 0o755 : 0o644)
  }
}

/** Through a descriptor, because a change of mode by path would follow a link. */
function setDirectoryMode(path: Buffer): void {
  const directory = openSync(path, OPEN_DIRECTORY)
  try {
    fchmodSync(directory, 0o755)
  } finally {
    closeSync(directory)
  }
}

async function writeContent(event: Extract<NarEvent, { type: 'file' }>, file: number): Promise<void> {
  try {
    const mode = event.executable ? 0o755 : 0o644
    if ((fstatSync(file).mode & 0o777) !== mode) fchmodSync(file, mode)
    for (;;) {
      const piece = await event.content.read()
      if (piece.length === 0) break
      for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done)
    }
  } finally {
    closeSync(file)
  }
}
